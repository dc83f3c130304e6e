"""What goes wrong leaves as one message and an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import asyncpg
import nats.errors
import pytest
import typer
from typer.testing import CliRunner

from services.cli import Commons, app
from services.commands.common import Operator, command
from services.commands.door import Door, Unreachable, Usage, exit_code, report
from services.commands.status import differences
from shared.errors import Busy, Corrupt, Halted, Invalid, LedgerError, Misconfigured, OutcomeUnknown
from shared.message import Refused
from shared.store import REQUIRED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Invalid("no"), 1), (Refused(Invalid("no").problem()), 1), (Busy("later"), 1),
        (Halted("lost"), 1), (Corrupt("broken"), 1), (Misconfigured("wrong"), 1), (LedgerError("odd"), 1),
        (Usage("what"), 2), (Unreachable("away"), 3), (OutcomeUnknown("who knows"), 3),
        (nats.errors.TimeoutError(), 3), (asyncpg.InterfaceError("closed"), 3),
        (ConnectionRefusedError("away"), 3), (asyncpg.CannotConnectNowError("starting"), 3),
        (asyncpg.UndefinedTableError("none"), 1),
    ],
)  # fmt: skip
def test_every_error_has_its_exit_code_and_one_message(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(error) == report(error, as_json=False) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.strip()
    assert report(error, as_json=True) == code
    told = capsys.readouterr()
    assert told.err == ""
    problem = json.loads(told.out)
    assert problem["code"]
    assert problem["detail"]
    assert problem["type"].startswith("urn:commons:problem:")


def raising(error: BaseException) -> typer.Typer:
    tree = typer.Typer(cls=type("One", (Door,), {"parts": {}, "get_command": _own, "list_commands": _names}))

    @tree.callback()
    def root() -> None:
        """A tree of its own."""

    @tree.command("go")
    @command
    async def go(operator: Operator) -> int | None:
        raise error

    return tree


def _own(self: Door, ctx: object, name: str) -> object:
    return self.commands.get(name)


def _names(self: Door, ctx: object) -> list[str]:
    return list(self.commands)


@pytest.mark.parametrize(
    ("error", "code"), [(Invalid("no"), 1), (OSError("away"), 3), (KeyboardInterrupt(), 130), (typer.Abort(), 130)]
)
def test_an_error_inside_a_command_ends_the_process_with_its_code(error: BaseException, code: int) -> None:
    result = CliRunner().invoke(raising(error), ["go"])
    assert result.exit_code == code
    assert "Traceback" not in result.output


def test_an_error_that_nobody_foresaw_is_not_hidden() -> None:
    result = CliRunner().invoke(raising(ZeroDivisionError("a fault of our own")), ["go"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_every_part_of_the_command_is_there_and_has_help() -> None:
    for name in Commons.parts:
        result = CliRunner().invoke(app, [name, "--help"])
        assert result.exit_code == 0, result.output
        assert "Usage" in result.stdout


def test_the_list_of_commands_is_shown_without_importing_them() -> None:
    script = "import sys, services.cli as c; sys.argv[1:] = ['--help']\n"
    script += "try: c.main()\nexcept SystemExit: print([m for m in sys.modules if m in %r])"
    modules = sorted({part.module for part in Commons.parts.values()})
    told = subprocess.run([sys.executable, "-c", script % modules], capture_output=True, text=True, check=True)
    assert all(name in told.stdout for name in Commons.parts)
    assert told.stdout.splitlines()[-1] == "[]"


def test_a_stream_s_settings_are_compared_with_what_the_ledger_asks_for() -> None:
    assert differences(dict(REQUIRED)) == []
    assert differences(REQUIRED | {"deny_purge": False, "allow_rollup_hdrs": True}) == [
        "deny_purge is False, not True", "allow_rollup_hdrs is set",
    ]  # fmt: skip


def test_a_login_that_is_no_name_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "a b")
    with pytest.raises(Usage):
        _ = Operator().who
    assert Operator(acting="amina").who == "amina"


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(Usage) as refused:
        Operator(database_url="mysql://sam:secret@host/x")
    assert "secret" not in refused.value.detail
    url = "postgresql://sam:secret@127.0.0.1:1/x"
    result = CliRunner().invoke(app, ["show", "stock", "--database-url", url])
    assert result.exit_code == 3
    assert "secret" not in result.output


def test_closed_streams_and_broken_letters_are_no_surprise() -> None:
    commons = f"{sys.executable} -m services.cli"
    register = f"{commons} send inventory RegisterItem --item x --unit each"
    for line, code in [
        (f"{register} --file - <&-", 2),
        (f"{commons} nothing 2>&-", 2),
        (f"{commons} describe >&-", 0),
        (f"{register} --name $'a\\xff'", 1),
        (f"{register} --file $'/\\xff'", 2),
        (f"PYTHONIOENCODING=ascii {commons} describe inventory ReceiveStock", 0),
    ]:
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == code, (line, done.stderr)
        assert "Traceback" not in done.stderr


def test_the_version_is_shown() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout.startswith("commons ")) == (0, True)
