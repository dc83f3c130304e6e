"""`commons receipt`, `verify-receipt` and `verify FOLDER`: what they need, what they prove, and when they say no."""

from __future__ import annotations

import importlib.util
import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from services.auditor import issuing
from services.auditor.issuing import Place, Search, issue
from services.auditor.notes import Signer
from services.auditor.receipt import Receipt
from services.auditor.tiles import TileLog, tile_path
from services.cli import app
from services.commands import receipt as commands
from shared.errors import Corrupt
from shared.event import decode_envelope
from tests.support.jars import WITNESSES, Jars, publish, signed, write_log

LOG = Signer("pantry/commons/inventory", bytes(range(32)))
EVENTS = 600


@pytest.fixture
def jars() -> Jars:
    return Jars.filled(EVENTS)


@pytest.fixture
def logs(tmp_path: Path, jars: Jars) -> Path:
    write_log(tmp_path / "logs", jars.raws, signer=LOG)
    (tmp_path / "logs" / "toy").rename(tmp_path / "logs" / "inventory")
    (tmp_path / "log.vkey").write_text(f"{LOG.verifier}\n")
    return tmp_path / "logs"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_PATIENCE", 0.2)


def run(capsys: pytest.CaptureFixture[str], *given: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        app([str(each) for each in given])
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out + told.err


def keys(tmp_path: Path, witnesses: int = 2) -> list[object]:
    return ["--log-key", tmp_path / "log.vkey"] + [
        each for one in WITNESSES[:witnesses] for each in ("--witness-key", str(one.verifier))
    ]


def test_a_receipt_holds_all_that_a_stranger_needs(
    tmp_path: Path, logs: Path, jars: Jars, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "r.tlog-proof"
    code, out = run(capsys, "receipt", "INVENTORY:301", "--tiles", logs, "-o", file)
    assert code == 0 and "is event 301 of pantry/commons/inventory" in out
    logs.rename(tmp_path / "gone")
    code, out = run(capsys, "verify-receipt", file, *keys(tmp_path), "--json")
    told: dict[str, Any] = json.loads(out)
    assert code == 0 and told["ok"]
    assert told["event"].encode() == jars[301]
    assert (told["index"], told["sequence"], told["events"]) == (300, 301, EVENTS)
    assert set(told["witnesses"]) == {"east/witness", "west/witness"}
    code, out = run(capsys, "verify-receipt", file, *keys(tmp_path))
    assert code == 0 and "The receipt holds." in out and "east/witness at 2026" in out


def test_an_event_is_found_by_its_id(tmp_path: Path, logs: Path, jars: Jars) -> None:
    for sequence in (1, 256, 257, EVENTS):
        found = Search(logs, decode_envelope(jars[sequence]).id).find()
        assert found == Place("inventory", sequence)


def test_an_id_that_comes_later_is_found_without_searching_again(
    logs: Path, jars: Jars, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Search(logs, decode_envelope(jars.add("late", 1)[EVENTS + 1]).id)
    assert search.find() is None
    read: list[str] = []
    reader = issuing.bounded_reader
    monkeypatch.setattr(
        issuing,
        "bounded_reader",
        lambda folder: lambda path: read.append(path) or reader(folder)(path),  # type: ignore[func-returns-value]
    )
    assert search.find() is None
    with TileLog.open(logs / "inventory") as log:
        log.append([jars[EVENTS + 1]])
        log.publish(signed(log, signer=LOG))
    assert search.find() == Place("inventory", EVENTS + 1)
    assert tile_path(None, 0) not in read and tile_path(None, 1) not in read


def test_an_event_that_no_checkpoint_covers_yet(tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "receipt", f"INVENTORY:{EVENTS + 1}", "--tiles", logs)
    assert code == 3 and "Event 601 of INVENTORY is under no checkpoint" in out
    code, out = run(capsys, "receipt", "INVENTORY:1", "--tiles", logs, "--witnesses", 3)
    assert code == 3 and "Fewer than 3 witnesses" in out
    code, out = run(capsys, "receipt", "0123e4b3-cdba-5ff0-a982-3b3472795f5b", "--tiles", logs)
    assert code == 1 and "No event under a checkpoint" in out


@pytest.mark.parametrize(
    "event", ["INVENTORY:0", "PAYROLL:1", "42", "INVENTORY:", "../x", "INVENTORY:99999999999999999"]
)
def test_what_names_no_event_is_refused(logs: Path, capsys: pytest.CaptureFixture[str], event: str) -> None:
    code, _ = run(capsys, "receipt", event, "--tiles", logs)
    assert code == 2


def test_an_entry_that_was_changed_gets_no_receipt(logs: Path) -> None:
    file = logs / "inventory" / tile_path(None, 0)
    file.write_bytes(file.read_bytes().replace(b"sam", b"tom"))
    with pytest.raises(Corrupt, match="is not under its checkpoint"):
        issue(logs, Place("inventory", 1))


def test_making_one_takes_less_than_ten_milliseconds(logs: Path) -> None:
    took = []
    for sequence in range(1, 21):
        began = time.perf_counter()
        assert issue(logs, Place("inventory", sequence * 30)) is not None
        took.append(time.perf_counter() - began)
    assert min(took) < 0.010


def _example() -> Callable[[str, list[str]], bytes]:
    path = Path(__file__).parents[3] / "docs" / "examples" / "receipt.py"
    spec = importlib.util.spec_from_file_location("receipt_example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[str, list[str]], bytes] = module.check
    return found


def test_the_example_of_the_guide_checks_receipts_without_the_ledger(logs: Path, jars: Jars) -> None:
    check, vkeys = _example(), [str(LOG.verifier), *(str(one.verifier) for one in WITNESSES)]
    for sequence in (1, 2, 255, 256, 257, 511, 513, EVENTS):
        made = issue(logs, Place("inventory", sequence))
        assert made is not None and check(made.text(), vkeys) == jars[sequence]
        for wrong in (
            Receipt(made.index, made.proof, made.checkpoint, jars[sequence] + b" "),
            Receipt(made.index ^ 1, made.proof, made.checkpoint, jars[sequence]),
            Receipt(made.index, made.proof[:-1], made.checkpoint, jars[sequence]),
            Receipt(made.index, (*made.proof, made.proof[0]), made.checkpoint, jars[sequence]),
        ):
            with pytest.raises(SystemExit):
                check(wrong.text(), vkeys)
    forged = str(Signer.generate(LOG.name).verifier)
    with pytest.raises(InvalidSignature):
        check(made.text(), [forged, *vkeys[1:]])
    with pytest.raises(SystemExit):
        check(made.text(), vkeys[1:])


class TestARefusedReceipt:
    @pytest.fixture
    def file(self, tmp_path: Path, logs: Path) -> Path:
        made = issue(logs, Place("inventory", 301))
        assert made is not None
        file = tmp_path / "r.tlog-proof"
        file.write_text(made.text())
        return file

    def test_for_another_event(
        self, tmp_path: Path, file: Path, jars: Jars, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = Receipt.parse(file.read_text())
        file.write_text(Receipt(made.index, made.proof, made.checkpoint, jars[302]).text())
        code, out = run(capsys, "verify-receipt", file, *keys(tmp_path))
        assert code == 1 and "not the one that the receipt is for" in out

    def test_without_the_log_key(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(capsys, "verify-receipt", file)[0] == 2

    def test_with_the_key_of_another(self, tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for other in (Signer.generate(LOG.name), Signer.generate("other/log")):
            code, _ = run(capsys, "verify-receipt", file, "--log-key", str(other.verifier))
            assert code == 1

    def test_that_too_few_witnesses_saw(self, tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with TileLog.open(logs / "inventory") as log:
            log.append([b"x"])
            log.publish(signed(log, signer=LOG, cosigned=1))
        file = tmp_path / "few"
        made = issue(logs, Place("inventory", 5))
        assert made is not None
        file.write_text(made.text())
        code, out = run(capsys, "verify-receipt", file, *keys(tmp_path))
        assert code == 1 and "2 are needed" in out
        assert run(capsys, "verify-receipt", file, *keys(tmp_path), "--witnesses", 1)[0] == 0

    def test_whose_event_is_beside_it(
        self, tmp_path: Path, file: Path, jars: Jars, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = Receipt.parse(file.read_text())
        file.write_text(Receipt(made.index, made.proof, made.checkpoint).text())
        code, out = run(capsys, "verify-receipt", file, *keys(tmp_path))
        assert code == 1 and "--entry" in out
        (tmp_path / "event.json").write_bytes(jars[301])
        assert run(capsys, "verify-receipt", file, *keys(tmp_path), "--entry", tmp_path / "event.json")[0] == 0

    @pytest.mark.parametrize("raw", [b"", b"x" * (2 << 20), b"\xff\xfe", b"c2sp.org/tlog-proof@v1\nindex 0\n\n"])
    def test_that_is_garbage(self, tmp_path: Path, file: Path, raw: bytes, capsys: pytest.CaptureFixture[str]) -> None:
        file.write_bytes(raw)
        assert run(capsys, "verify-receipt", file, *keys(tmp_path))[0] == 1


def test_a_private_key_or_a_witnesss_in_the_place_of_a_logs_is_refused(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, "verify", logs, "--log-key", LOG.secret())
    assert code == 2 and LOG.secret() not in out
    code, out = run(capsys, "verify", logs, "--log-key", str(WITNESSES[0].verifier))
    assert code == 2 and "--witness-key was meant" in out
    assert run(capsys, "verify", logs, *keys(tmp_path, 1), "--witnesses", 2)[0] == 2


def test_verify_says_in_json_where_the_first_thing_wrong_is(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log is one of jars, and so no event of it is one of inventory's."""
    code, out = run(capsys, "verify", logs, *keys(tmp_path), "--json")
    told = json.loads(out)
    assert (code, told["ok"]) == (1, False)
    assert told["where"] == {"stream": "INVENTORY", "sequence": 1, "subject": "ledger.inventory.jar.j0"}
    with tarfile.open(tmp_path / "copy.tar.gz", "w:gz") as file:
        file.add(logs, ".")
    packed = json.loads(run(capsys, "verify", tmp_path / "copy.tar.gz", *keys(tmp_path), "--json")[1])
    assert packed["first_problem"] == told["first_problem"]


def test_verify_takes_a_folder_or_the_live_ledger(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "verify", logs, "--live")[0] == 2
    assert run(capsys, "verify", logs, "--streams-only")[0] == 2
    assert run(capsys, "verify", tmp_path / "nothing")[0] == 2
    assert run(capsys, "verify", "--known", tmp_path / "log.vkey", "--data", tmp_path)[0] == 2
    (tmp_path / "empty").mkdir()
    assert run(capsys, "verify", tmp_path / "empty")[0] == 1
    publish(logs / "inventory", b"garbage")
    assert "does not hold" in run(capsys, "verify", logs, *keys(tmp_path))[1]
