"""A witness cosigns what continues the log it saw before, and answers everything else as c2sp.org/tlog-witness says."""

from __future__ import annotations

import base64
import sqlite3
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auditor.checkpoint import Checkpoint, open_checkpoint
from services.auditor.merkle import EMPTY_ROOT, leaf_hash, root_of
from services.auditor.notes import Cosigner, Note, Signature, Signer
from services.auditor.witness import MAX_REQUEST_BYTES, Answer, Witness
from tests.support.witnesses import LEAVES, LOG, request

OTHER = Signer("pantry.example/treasury", bytes([7]) * 32)
KEY = Cosigner("chapter-b.example/witness", bytes([1]) * 32)
NOW = 1_800_000_000


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    opened = Witness(tmp_path / "witness.sqlite", KEY, lambda: [LOG.verifier], clock=lambda: NOW)
    yield opened
    opened.close()


def assert_cosigned(answer: Answer, size: int) -> None:
    assert answer.status == 200, answer
    line = answer.body.decode()
    assert line.endswith("\n")
    signature = Signature.parse(line.removesuffix("\n"))
    assert KEY.verifier.holds(Checkpoint(LOG.name, size, root_of(LEAVES[:size])).text(), signature)
    assert signature.time == NOW


def test_a_log_is_followed_from_its_first_checkpoint_on(witness: Witness) -> None:
    for old, new in ((0, 5), (5, 5), (5, 33), (33, 64)):
        assert_cosigned(witness.add_checkpoint(request(old, new)), new)
    (seen,) = witness.seen()
    assert (seen.origin, seen.size, seen.root, seen.at, seen.forks) == (LOG.name, 64, root_of(LEAVES), NOW, 0)
    assert seen.unproven == 0


def test_an_empty_log_is_cosigned_with_the_empty_root_alone(witness: Witness) -> None:
    assert_cosigned(witness.add_checkpoint(request(0, 0)), 0)
    text = Checkpoint(LOG.name, 0, bytes(32)).text()
    forged = b"old 0\n\n" + Note(text, [LOG.sign(text)]).to_bytes()
    assert root_of([]) == EMPTY_ROOT
    assert witness.add_checkpoint(forged).status == 422


def test_whoever_thinks_of_another_size_is_told_the_right_one(witness: Witness) -> None:
    witness.add_checkpoint(request(0, 9))
    for old in (0, 4, 10):
        assert witness.add_checkpoint(request(old, 20)) == Answer(409, b"9\n", "text/x.tlog.size")
    assert_cosigned(witness.add_checkpoint(request(9, 20)), 20)


def test_another_history_is_refused_and_kept_as_evidence(witness: Witness, tmp_path: Path) -> None:
    """Signed with the log's real key: nobody but the witness can tell."""
    witness.add_checkpoint(request(0, 9))
    changed = [*LEAVES[:4], leaf_hash(b"a changed entry"), *LEAVES[5:]]
    for new in (9, 10, 40):
        answer = witness.add_checkpoint(request(9, new, changed))
        assert answer.status == 422 and b"does not continue" in answer.body
    assert (witness.seen()[0].size, witness.seen()[0].forks, witness.seen()[0].unproven) == (9, 1, 3)
    assert_cosigned(witness.add_checkpoint(request(9, 10)), 10)  # now there are two of size 10
    assert (witness.seen()[0].forks, witness.seen()[0].unproven) == (2, 3)
    with sqlite3.connect(tmp_path / "witness.sqlite") as database:
        kept = database.execute("SELECT note, other_note, size FROM evidence ORDER BY size").fetchall()
    for one, other, size in kept:
        both = [open_checkpoint(note, LOG.name, [LOG.verifier]) for note in (one, other)]
        assert {each.root for each in both} == {root_of(LEAVES[:size]), root_of(changed[:size])}
        assert {each.size for each in both} == {size}


def test_an_ill_made_proof_accuses_nobody_and_leaves_room_for_evidence(witness: Witness) -> None:
    """Anybody can send a log's public checkpoint with a proof of nonsense, as often as they like."""
    witness.add_checkpoint(request(0, 9))
    _, gap, note = request(9, 20).partition(b"\n\n")
    for number in range(1100):
        nonsense = base64.b64encode(sha256(b"%d" % number).digest())
        assert witness.add_checkpoint(b"old 9\n" + nonsense + gap + note).status == 422
    assert (witness.seen()[0].forks, witness.seen()[0].unproven) == (0, 1)
    changed = [leaf_hash(b"a changed entry"), *LEAVES[1:]]
    assert witness.add_checkpoint(request(9, 9, changed)).status == 422
    assert (witness.seen()[0].forks, witness.seen()[0].unproven) == (1, 2)
    assert_cosigned(witness.add_checkpoint(request(9, 20)), 20)
    assert (witness.seen()[0].forks, witness.seen()[0].unproven) == (1, 1)  # it did continue the log


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (request(0, 5, origin="elsewhere.example/log"), 404),
        (request(0, 5, signer=OTHER), 403),
        (request(0, 5, signer=Signer(LOG.name, bytes([9]) * 32)), 403),
        (request(0, 5).replace(b"\n5\n", b"\n6\n"), 403),
        (b"old 6\n\n" + request(5, 5).partition(b"\n\n")[2], 400),
        (b"old 05\n\n" + request(5, 5).partition(b"\n\n")[2], 400),
        (b"old -1\n\n" + request(5, 5).partition(b"\n\n")[2], 400),
        (b"old 18446744073709551616\n\n" + request(5, 5).partition(b"\n\n")[2], 400),
        (request(0, 5).replace(b"old 0\n", b"old 0\nnot base64\n"), 400),
        (request(0, 5).replace(b"old 0\n", b"old 0\n" + b"AAAA\n"), 400),
        (request(0, 5).replace(b"old 0\n", b"old 0\n" + base64.b64encode(bytes(32)) + b"\n"), 422),
        (request(0, 5).replace(b"old 0\n", b"old 0\n" + (base64.b64encode(bytes(32)) + b"\n") * 64), 400),
        (b"", 400),
        (b"\xff" * 100, 400),
        (b"old 0\n\n\n\n\n", 400),
        (b"x" * (MAX_REQUEST_BYTES + 1), 413),
    ],
)  # fmt: skip
def test_what_is_wrong_is_answered_by_its_kind_and_stores_nothing(witness: Witness, body: bytes, status: int) -> None:
    answer = witness.add_checkpoint(body)
    assert answer.status == status, answer
    assert answer.body.endswith(b"\n") and len(answer.body) < 500
    assert witness.seen() == []
    assert_cosigned(witness.add_checkpoint(request(0, 5)), 5)


@given(st.binary(max_size=400), st.integers(0, 400))
def test_garbage_is_never_more_than_refused(junk: bytes, at: int) -> None:
    whole = request(3, 20)
    witness = Witness(Path(":memory:"), KEY, lambda: [LOG.verifier], clock=lambda: NOW)
    witness.add_checkpoint(request(0, 3))
    for body in (junk, whole[:at] + junk + whole[at:], whole[:at] + junk):
        answer = witness.add_checkpoint(body)
        # A note may bear signatures of keys that are not known, and may be said again: then it is the same checkpoint.
        assert answer.status in (400, 403, 404, 409, 422) or (answer.status == 200 and witness.seen()[0].size == 20)
    witness.close()


def test_it_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    for old, new in ((0, 5), (5, 9), (9, 30)):
        witness = Witness(tmp_path / "witness.sqlite", KEY, lambda: [LOG.verifier], clock=lambda: NOW)
        assert_cosigned(witness.add_checkpoint(request(old, new)), new)
        witness.close()


def test_of_two_that_ask_at_once_one_is_cosigned(tmp_path: Path) -> None:
    """Through two connections to one database, as two processes would have: the size is compared as it is replaced."""
    both = [Witness(tmp_path / "witness.sqlite", KEY, lambda: [LOG.verifier], clock=lambda: NOW) for _ in range(2)]
    both[0].add_checkpoint(request(0, 1))
    size = 1
    while size < 60:
        answers: list[tuple[int, Answer]] = []
        asked = [size + 1, size + 2]
        barrier = threading.Barrier(2)

        def ask(
            witness: Witness, old: int, new: int, barrier: threading.Barrier = barrier,
            answers: list[tuple[int, Answer]] = answers,
        ) -> None:  # fmt: skip
            body = request(old, new)
            barrier.wait()
            answers.append((new, witness.add_checkpoint(body)))

        threads = [threading.Thread(target=ask, args=(one, size, new)) for one, new in zip(both, asked, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (cosigned,) = [new for new, answer in answers if answer.status == 200]
        (refused,) = [answer for _, answer in answers if answer.status != 200]
        assert refused == Answer(409, b"%d\n" % cosigned, "text/x.tlog.size")
        size = cosigned
    for one in both:
        one.close()


def test_nothing_is_cosigned_that_cannot_be_stored(witness: Witness, tmp_path: Path) -> None:
    witness.add_checkpoint(request(0, 5))
    with sqlite3.connect(tmp_path / "witness.sqlite") as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON latest BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    assert witness.add_checkpoint(request(5, 9)).status == 503
    assert witness.seen()[0].size == 5


def test_monitors_read_the_last_checkpoint_with_both_signatures(witness: Witness) -> None:
    name = sha256(LOG.name.encode()).hexdigest()
    assert witness.latest(name) is None
    witness.add_checkpoint(request(0, 5))
    note = witness.latest(name)
    assert note is not None
    assert open_checkpoint(note, LOG.name, [LOG.verifier]).size == 5
    assert open_checkpoint(note, LOG.name, [KEY.verifier]).size == 5
    assert witness.latest("0" * 64) is None
