"""`commons send` and `commons describe` up to the wire: parsing, help, refusals and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.commands.send import print_reply
from shared.message import Reply

NOWHERE = ["--nats-url", "nats://127.0.0.1:1"]
GOOD = ["--item", "rice", "--location", "main", "--source", "donation", "--quantity", "5"]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No servers in the environment, and no data folder."""
    for name in ("NATS_URL", "DATABASE_URL", "COMMONS_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, stdin: bytes | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def test_without_a_command_the_help_is_shown() -> None:
    code, out, _ = run()
    assert code == 0
    assert "send" in out


def test_the_services_and_their_commands_are_listed() -> None:
    assert "inventory" in run("send")[1]
    code, out, _ = run("send", "inventory")
    assert code == 0
    assert "ReceiveStock" in out
    assert "Take goods in." in out


def test_every_field_is_a_flag_with_its_words() -> None:
    code, out, _ = run("send", "inventory", "ReceiveStock", "--help")
    assert code == 0
    for word in ("--item", "--source", "donation", "--quantity", "--confirm-unusual", "--nats-url", "--mandate"):
        assert word in out


@pytest.mark.parametrize(
    "how", [("send", "inventory", "ReceiveStock", "--help-fields"), ("describe", "inventory", "receive-stock")]
)
def test_the_fields_are_described_with_forms_and_meaning(how: tuple[str, ...]) -> None:
    code, out, _ = run(*how)
    assert code == 0
    assert "integer ≥ 1" in out
    assert "required" in out


def test_a_schema_is_given_to_programs() -> None:
    code, out, _ = run("describe", "inventory", "ReceiveStock", "--json")
    assert code == 0
    assert json.loads(out)["properties"]["lines"]["maxItems"] == 100


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nothing"], "has no command"),
        (["send", "inventroy"], "Did you mean inventory?"),
        (["send", "inventory", "RecieveStock"], "Did you mean ReceiveStock?"),
        (["send", "inventory", "DROP TABLE \x1b[2J"], "has no command"),
        (["describe", "kiosk"], "There is no service"),
        (["send", "inventory", "ReceiveStock", "--bogus"], "No such option"),
        (["send", "inventory", "ReceiveStock", "--item"], "requires an argument"),
        (["send", "inventory", "ReceiveStock", "stray"], "unexpected extra argument"),
        (["send", "inventory", "ReceiveStock", "--set", "item"], "name=value"),
        (["send", "inventory", "ReceiveStock", "--quantity", "many"], "integer"),
        (["send", "inventory", "ReceiveStock", "--file", "nothing.json"], "No such file"),
        (["send", "inventory", "ReceiveStock", *GOOD, "--nats-url", "localhost:4222"], "--nats-url takes"),
        (["send", "inventory", "ReceiveStock", *GOOD, "--database-url", "mysql://x"], "--database-url takes"),
        (["send", "inventory", "ReceiveStock", *GOOD, "--as", "a b"], "--as takes"),
        (["send", "inventory", "ReceiveStock", *GOOD, *NOWHERE, "--id", "a b"], "--id takes"),
    ],
)
def test_a_mistake_in_the_command_line_is_one_message_and_exit_2(arguments: list[str], why: str) -> None:
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert why in err
    assert err.count("\n") == 1
    assert "\x1b[2J" not in err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "item: is required"),
        ([*GOOD, "--item", "ri.ce"], "item"),
        ([*GOOD, "--item", "ri*"], "item"),
        ([*GOOD, "--item", "a\x07b"], "item"),
        ([*GOOD, "--source", "gift"], "source"),
        ([*GOOD, "--quantity", "0"], "quantity"),
        ([*GOOD, "--quantity", "-4"], "quantity"),
        ([*GOOD, "--quantity", "9223372036854775808"], "quantity"),
        ([*GOOD, "--quantity", "1.5"], "quantity"),
        ([*GOOD, "--date", "0000-01-01", "--date-kind", "expiry"], "date"),
        ([*GOOD, "--date", "9999-01-01", "--date-kind", "expiry"], "date"),
        ([*GOOD, "--occurred-at", "yesterday"], "occurred_at"),
        ([*GOOD, "--lines", "[" + ",".join(['{"quantity": 1}'] * 101) + "]"], "lines"),
    ],
)
def test_what_the_contract_refuses_is_refused_before_anything_is_sent(arguments: list[str], why: str) -> None:
    if "--lines" in arguments:
        arguments = [a for a in arguments if a not in ("--quantity", "5")]
    code, out, err = run("send", "inventory", "ReceiveStock", *NOWHERE, *arguments)
    assert (code, out) == (1, "")
    assert "Refused INVALID" in err
    assert why in err


def test_with_json_a_refusal_is_a_problem_document_on_stdout() -> None:
    code, out, err = run("send", "inventory", "ReceiveStock", "--json")
    problem = json.loads(out)
    assert (code, err) == (1, "")
    assert problem["code"] == "INVALID"
    assert problem["status"] == 422
    assert problem["detail"]


def test_the_command_is_read_from_stdin_and_flags_are_laid_over_it() -> None:
    body = json.dumps({"item": "rice", "location": "main", "source": "gift", "lines": [{"quantity": 1}]}).encode()
    code, _, err = run("send", "inventory", "ReceiveStock", "--file", "-", *NOWHERE, stdin=body)
    assert (code, "source" in err) == (1, True)
    code, _, err = run("send", "inventory", "ReceiveStock", "--file", "-", "--source", "donation", *NOWHERE, stdin=body)
    assert (code, "No NATS server" in err) == (3, True)


@pytest.mark.parametrize("raw", [b"", b'{"item"', b"\xff\xfe{}", b"x" * 10_000_000])
def test_a_broken_stdin_is_refused(raw: bytes) -> None:
    code, out, err = run("send", "inventory", "ReceiveStock", "--file", "-", stdin=raw)
    assert (code, out) == (1, "")
    assert "stdin" in err


def test_servers_that_are_not_known_or_not_there_are_exit_3(tmp_path: Path) -> None:
    code, _, err = run("send", "inventory", "ReceiveStock", *GOOD)
    assert (code, "commons up" in err) == (3, True)
    code, out, _ = run("send", "inventory", "ReceiveStock", *GOOD, *NOWHERE, "--json")
    assert (code, json.loads(out)["code"]) == (3, "UNREACHABLE")
    for broken in ("{", "[]", '{"nats_url": 7}'):
        (tmp_path / "commons.json").write_text(broken)
        code, _, err = run("send", "inventory", "ReceiveStock", *GOOD, "--data", str(tmp_path))
        assert (code, "commons.json" in err) == (3, True)


def test_the_data_folder_says_where_the_servers_are_and_a_url_wins(tmp_path: Path) -> None:
    (tmp_path / "commons.json").write_text(json.dumps({"nats_url": "nats://127.0.0.1:2"}))
    folder = ["--data", str(tmp_path)]
    assert "127.0.0.1:2." in run("send", "inventory", "ReceiveStock", *GOOD, *folder)[2]
    assert "127.0.0.1:1." in run("send", "inventory", "ReceiveStock", *GOOD, *folder, *NOWHERE)[2]


def test_a_scan_that_cannot_be_read_is_refused_and_one_that_can_asks_the_catalogue() -> None:
    place = ["--location", "main", "--source", "donation", "--quantity", "5"]
    code, _, err = run("send", "inventory", "ReceiveStock", *place, "--scan", "(01)04006381333932")
    assert (code, "check digit" in err) == (1, True)
    for how in ("--scan", "--item"):
        code, _, err = run("send", "inventory", "ReceiveStock", *place, how, "(01)04006381333931(10)A7")
        assert (code, "database" in err) == (3, True)
    code, _, err = run("send", "inventory", "ReceiveStock", *place, "--scan", "(10)A7", *NOWHERE)
    assert (code, "item: is required" in err) == (1, True)


def test_what_cutting_fills_in_is_no_field_of_a_request() -> None:
    code, out, _ = run("send", "treasury", "PostEntries", "--help")
    assert code == 0
    assert "--book" in out and "--parts" not in out
    assert sorted(json.loads(run("describe", "treasury", "PostEntries", "--json")[1])["properties"]) == [
        "book",
        "entries",
    ]


def test_the_answer_to_a_bulk_command_shows_what_was_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    results = [{"line": f"l-{n}", "result": "posted", "field": None} for n in range(1200)]
    results += [{"line": f"x-{n}", "result": "differs", "field": "amount"} for n in range(25)]
    counts = {"posted": 1200, "differs": 25}
    print_reply(Reply(status="accepted", stream="JOURNAL", sequence=7, results=results, counts=counts))
    out = capsys.readouterr().out
    assert "Recorded: 1,200 posted, 25 differs" in out
    assert "x-0 differs amount" in out and "l-0" not in out
    assert "and 5 more; --json lists all" in out
