"""`commons export ledger`, `backup` and `restore` on a running ledger: what they write, say and refuse."""

from __future__ import annotations

import json
import os
import signal
import tarfile
import time
from pathlib import Path

import pytest

from services.auditor.checked import open_logs
from services.commands import backup as copying
from shared.errors import Corrupt, Invalid
from tests.integration.commands.conftest import Commons
from tests.support.copies import files, log_signer, write_log


def _signed(commons: Commons) -> None:
    """Wait until every event of inventory is under a checkpoint."""
    deadline = time.monotonic() + 30
    while True:
        wanted = commons.last()
        try:
            logs = {log.service: log.size for log in open_logs(commons.data / "tiles")}
        except (Corrupt, Invalid):  # its first checkpoint is on its way
            logs = {}
        if logs.get("inventory", 0) >= wanted:
            return
        assert time.monotonic() < deadline, logs
        time.sleep(0.1)


def _register(commons: Commons, donor: str, name: str) -> None:
    commons.send("RegisterDonor", "--donor", donor, "--name", name, "--wait", "donors")
    _signed(commons)


def test_an_export_holds_what_was_signed_and_grows(commons: Commons, tmp_path: Path) -> None:
    _register(commons, "x-1", "Ottilie Hazelgrove")
    told = commons("export", "ledger", str(tmp_path / "copy"), "--json")
    assert told.code == 0, told
    (inventory,) = [one for one in told.json["logs"] if one["service"] == "inventory"]
    assert inventory["size"] == inventory["added"] >= 3
    _register(commons, "x-2", "Barnaby Thistlewood")
    shown = commons("export", "ledger", str(tmp_path / "copy"))
    assert (shown.code, "Check it: commons verify" in shown.out) == (0, True)
    again = commons("export", "ledger", str(tmp_path / "copy"), "--json").json
    assert {one["added"] for one in again["logs"]} == {0}
    assert not any(b"Hazelgrove" in raw for raw in files(tmp_path / "copy").values())
    archive = commons("export", "ledger", str(tmp_path / "copy.tar.gz"))
    assert archive.code == 0
    with tarfile.open(tmp_path / "copy.tar.gz") as opened:
        assert "inventory/checkpoint" in opened.getnames()
    assert commons("export", "ledger", str(tmp_path / "copy.tar.gz")).code == 1


def test_without_an_auditors_logs_it_says_what_to_start(tmp_path: Path) -> None:
    for command in (("export", "ledger"), ("backup",)):
        done = Commons(tmp_path / "nothing")(*command, str(tmp_path / "copy"))
        assert (done.code, "commons up" in done.err and "auditor" in done.err) == (2, True), done
        assert not (tmp_path / "copy" / "ledger").exists()


def test_a_folder_of_something_else_is_refused(commons: Commons, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    done = commons("export", "ledger", str(tmp_path), "--json")
    assert (done.code, done.json["code"]) == (1, "INVALID")
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_a_backup_holds_the_ledger_and_apart_from_it_the_keys(commons: Commons, tmp_path: Path) -> None:
    _register(commons, "x-3", "Philippa Ravensworth")
    told = commons("backup", str(tmp_path / "b"), "--json")
    assert told.code == 0, told
    copy = Path(told.json["keyring"])
    assert copy.parent == tmp_path / "b" / "keyring"
    assert copy.stat().st_mode & 0o777 == 0o600 and (tmp_path / "b").stat().st_mode & 0o777 == 0o700
    assert b"donor/x-3" in copy.read_bytes()
    assert copy.stat().st_mtime_ns > (tmp_path / "b" / "ledger" / "copy.json").stat().st_mtime_ns, "keys come after"
    assert not any(
        b"wrapped" in raw and b"master" in raw for raw in files(tmp_path / "b" / "ledger" / "inventory").values()
    )
    assert {log.service for log in open_logs(tmp_path / "b" / "ledger")} >= {"inventory"}


def test_what_the_auditor_has_not_signed_is_said_to_be_missing(
    commons: Commons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_SIGNED_SECONDS", 1.0)
    _register(commons, "x-15", "Winifred Ashdown")
    auditor = int(commons.described["services"]["auditor"]["pid"])
    os.kill(auditor, signal.SIGSTOP)
    try:
        commons.send("RegisterDonor", "--donor", "x-16", "--name", "Percival Ashdown")
        told = commons("backup", str(tmp_path / "b"), "--json")
        assert (told.code, told.json["missing"]) == (1, {"INVENTORY": 1})
        assert "1 event(s) of INVENTORY are not in this copy" in commons("backup", str(tmp_path / "b")).out
    finally:
        os.kill(auditor, signal.SIGCONT)
    _signed(commons)
    whole = commons("backup", str(tmp_path / "b"), "--json")
    assert (whole.code, whole.json["missing"]) == (0, {})


def test_only_so_many_copies_of_the_keys_stay_and_none_has_who_was_erased(commons: Commons, tmp_path: Path) -> None:
    _register(commons, "x-4", "Cuthbert Loxwood")
    backup = ("backup", str(tmp_path / "b"), "--keep", "2", "--keyring", str(tmp_path / "k"), "--json")
    made = [commons(*backup).json for _ in range(3)]
    assert [one["removed"] for one in made] == [0, 0, 1]
    left = sorted((tmp_path / "k").iterdir())
    assert [str(path) for path in left] == [one["keyring"] for one in made[1:]]
    assert commons("keys", "erase", "inventory", "donor/x-4", "--yes").code == 0
    last = commons(*backup).json
    assert last["struck_out"] == 1
    for path in (tmp_path / "k").iterdir():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        (record,) = [one["record"] for one in lines if one["record"]["owner"] == "donor/x-4"]
        assert not record.get("keys") and record["erased"]
    assert commons("keys", "restore", last["keyring"]).code == 0


def test_a_schedule_goes_on_after_a_failed_round_until_ctrl_c(commons: Commons, tmp_path: Path) -> None:
    _signed(commons)
    running = commons.process("backup", str(tmp_path / "b"), "--every", "1s")
    assert running.stdout is not None
    first = running.stdout.readline()
    assert "events (" in first and "owners of keys" in first
    (tmp_path / "b" / "ledger" / "letters.txt").write_text("dear")
    while "FAILED" not in (line := running.stdout.readline()):
        assert running.poll() is None
    assert "INVALID" in line and "letters.txt" in line
    (tmp_path / "b" / "ledger" / "letters.txt").unlink()
    while "FAILED" in running.stdout.readline():
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert "Traceback" not in out + err
    assert running.returncode == 130  # as every command that Ctrl-C ends


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--every", "hourly"), "15m, 1h"),
        (("--every", "0h"), "15m, 1h"),
        (("--keep", "0"), "keep"),
        (("--keyring", "{b}/ledger/keys"), "a folder of their own"),
        (("--keyring", "{b}/ledger"), "a folder of their own"),
    ],
)
def test_what_a_backup_cannot_do_is_a_mistake_in_the_command_line(
    commons: Commons, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    given = [one.replace("{b}", str(tmp_path / "b")) for one in arguments]
    done = commons("backup", str(tmp_path / "b"), *given)
    assert (done.code, message in done.err) == (2, True), done
    assert not (tmp_path / "b").exists()


def test_before_anything_was_signed_there_is_nothing_to_copy(commons: Commons, tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    done = commons("backup", str(tmp_path / "b"), "--tiles", str(tmp_path / "tiles"))
    assert (done.code, "nothing to copy yet" in done.err) == (1, True), done
    assert not (tmp_path / "b" / "ledger").exists()


def test_a_restore_over_the_same_ledger_changes_nothing(commons: Commons, tmp_path: Path) -> None:
    _register(commons, "x-5", "Winifred Oakenshaw")
    assert commons("export", "ledger", str(tmp_path / "copy")).code == 0
    last = commons.last()
    told = commons("restore", str(tmp_path / "copy"), "--json")
    assert told.code == 0, told
    assert {one["appended"] for one in told.json["streams"]} == {0} and told.json["halt"] is None
    assert commons.last() == last


def test_another_ledgers_copy_is_refused_and_the_services_go_on(commons: Commons, tmp_path: Path) -> None:
    write_log(tmp_path / "other", "inventory", [b'{"subject": "stock/a"}'] * 2_000)
    done = commons("restore", str(tmp_path / "other"), "--json")
    assert (done.code, done.json["stream"], done.json["sequence"]) == (1, "INVENTORY", 1), done
    commons.send("RegisterDonor", "--donor", "x-6", "--name", "Isolde Farthingale")


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (None, 2, "does not exist"),
        ("empty", 1, "no copy of a ledger"),
        ("garbage", 1, "no archive"),
        ("backup", 1, "name that"),
    ],
)
def test_what_is_no_copy_is_refused(
    commons: Commons, tmp_path: Path, make: str | None, code: int, message: str
) -> None:
    path = tmp_path / "copy"
    match make:
        case "empty":
            path.mkdir()
        case "garbage":
            path.write_bytes(b"\0garbage" * 500)
        case "backup":
            write_log(path / "ledger", "inventory", [b'{"subject": "stock/a"}'])
    done = commons("restore", str(path))
    assert (done.code, message in done.err) == (code, True), done


def test_a_copy_that_others_signed_is_refused(tmp_path: Path) -> None:
    write_log(tmp_path / "logs", "inventory", [b'{"subject": "stock/a"}'])
    (tmp_path / "log.vkey").write_text(f"{log_signer('inventory', 5).verifier}\n")
    restore = ("restore", str(tmp_path / "logs"), "--log-key")
    new = Commons(tmp_path / "new")
    done = new(*restore, str(tmp_path / "log.vkey"))
    assert (done.code, "none of the keys" in done.err) == (1, True), done
    assert not (tmp_path / "new").exists()
    assert new(*restore, "log+key").code == new(*restore, str(tmp_path)).code == 2


def test_a_restore_that_cannot_use_the_keys_says_so_before_it_begins(tmp_path: Path) -> None:
    write_log(tmp_path / "logs", "inventory", [b'{"subject": "stock/a"}'])
    (tmp_path / "keys.copy").write_text("")
    done = Commons(tmp_path / "new")("restore", str(tmp_path / "logs"), "--keyring", str(tmp_path / "keys.copy"))
    assert (done.code, "master key" in done.err) == (1, True), done
    assert not (tmp_path / "new" / "nats").exists()
