"""A receipt is what c2sp.org/tlog-proof says, and proves one entry, in one log, under enough witnesses."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auditor.checkpoint import Checkpoint
from services.auditor.merkle import inclusion_proof, leaf_hash, root_of
from services.auditor.notes import BadKey, Cosigner, Note, Signer, Verifier
from services.auditor.receipt import BadReceipt, Receipt, verify_receipt

LOG = Signer("pantry.example/inventory", bytes(32))
WITNESSES = [Cosigner(f"witness{number}.example", bytes([number]) * 32) for number in (1, 2, 3)]
KEYS = [witness.verifier for witness in WITNESSES]
ENTRIES = [b"entry %d" % number for number in range(21)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
INDEX = 13


def subtree(level: int, index: int) -> bytes:
    return root_of(LEAVES[index << level : (index + 1) << level])


def receipt(signer: Signer = LOG, witnesses: int = 2, origin: str = LOG.name) -> Receipt:
    text = Checkpoint(origin, len(LEAVES), root_of(LEAVES)).text()
    cosigned = [witness.sign(text, 1_700_000_000 + at) for at, witness in enumerate(WITNESSES[:witnesses])]
    note = Note(text, [signer.sign(text), *cosigned]).to_bytes()
    return Receipt(INDEX, tuple(inclusion_proof(subtree, INDEX, len(LEAVES))), note)


def test_a_receipt_proves_its_entry() -> None:
    proved = verify_receipt(Receipt.parse(receipt().text()), ENTRIES[INDEX], LOG.verifier, KEYS, needed=2)
    assert proved.index == INDEX and proved.checkpoint.size == len(LEAVES)
    assert proved.witnesses == (("witness1.example", 1_700_000_000), ("witness2.example", 1_700_000_001))


def test_a_receipt_looks_as_the_specification_shows() -> None:
    given_receipt = Receipt(5, (bytes(32),), b"checkpoint\n\n\xe2\x80\x94 a AAAAAAAA\n", b"more")
    assert given_receipt.text().split("\n") == [
        "c2sp.org/tlog-proof@v1",
        "extra bW9yZQ==",
        "index 5",
        base64.b64encode(bytes(32)).decode(),
        "",
        "checkpoint",
        "",
        "— a AAAAAAAA",
        "",
    ]


@given(st.integers(0, 2**62), st.lists(st.binary(min_size=32, max_size=32), max_size=63), st.none() | st.binary())
def test_what_was_written_is_read(index: int, proof: list[bytes], extra: bytes | None) -> None:
    written = Receipt(index, tuple(proof), receipt().checkpoint, extra)
    assert Receipt.parse(written.text()) == written


def test_no_changed_receipt_proves_anything_else() -> None:
    """Each bit of the file: it is refused, or it says the same with one witness less."""
    raw = receipt().text().encode()
    for at in range(len(raw)):
        for bit in range(8):
            changed = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
            try:
                proved = verify_receipt(Receipt.parse(changed.decode()), ENTRIES[INDEX], LOG.verifier, KEYS)
            except (BadReceipt, UnicodeDecodeError):
                continue
            assert proved.index == INDEX and len(proved.witnesses) == 1


def test_no_cut_receipt_is_taken() -> None:
    text = receipt(witnesses=0).text()
    for end in range(len(text)):
        with pytest.raises(BadReceipt):
            verify_receipt(Receipt.parse(text[:end]), ENTRIES[INDEX], LOG.verifier)


def test_another_entry_is_not_proved() -> None:
    for index, entry in enumerate(ENTRIES):
        if index != INDEX:
            with pytest.raises(BadReceipt, match="not the one"):
                verify_receipt(receipt(), entry, LOG.verifier)


@pytest.mark.parametrize(
    ("given_receipt", "key", "words"),
    [
        (receipt(Signer.generate(LOG.name)), LOG.verifier, "not signed by"),
        (receipt(origin="clinic.example/log"), LOG.verifier, "of the log clinic.example/log"),
        (receipt(), Signer.generate("other.example").verifier, "of the log pantry.example/inventory"),
    ],
)
def test_another_log_is_not_taken_for_this_one(given_receipt: Receipt, key: Verifier, words: str) -> None:
    with pytest.raises(BadReceipt, match=words):
        verify_receipt(given_receipt, ENTRIES[INDEX], key)


def test_as_many_witnesses_as_needed() -> None:
    verify_receipt(receipt(witnesses=3), ENTRIES[INDEX], LOG.verifier, KEYS, needed=3)
    with pytest.raises(BadReceipt, match=r"2 cosigned .* 3 are needed"):
        verify_receipt(receipt(witnesses=2), ENTRIES[INDEX], LOG.verifier, KEYS, needed=3)
    with pytest.raises(BadReceipt, match="none"):
        verify_receipt(receipt(witnesses=2), ENTRIES[INDEX], LOG.verifier, KEYS[2:], needed=1)


def test_a_witness_that_signed_twice_counts_once() -> None:
    made = receipt(witnesses=1)
    note = Note.parse(made.checkpoint)
    again = Note(note.text, [*note.signatures, WITNESSES[0].sign(note.text, 5)]).to_bytes()
    with pytest.raises(BadReceipt, match=r"1 cosigned .* 2 are needed"):
        verify_receipt(Receipt(INDEX, made.proof, again), ENTRIES[INDEX], LOG.verifier, [*KEYS, KEYS[0]], needed=2)


def test_the_logs_own_key_is_no_witness() -> None:
    with pytest.raises(BadKey, match="not a witness's"):
        verify_receipt(receipt(), ENTRIES[INDEX], LOG.verifier, [LOG.verifier], needed=1)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "wrong-header\nindex 0\n\n",
        "c2sp.org/tlog-proof@v1\nextra !!\nindex 0\n\n",
        "c2sp.org/tlog-proof@v1\n\n",
        "c2sp.org/tlog-proof@v1\nindex -5\n\n",
        "c2sp.org/tlog-proof@v1\nindex 05\n\n",
        "c2sp.org/tlog-proof@v1\nindex \n\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\n",
        "c2sp.org/tlog-proof@v1\r\nindex 0\n\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + 64 * (base64.b64encode(bytes(32)).decode() + "\n") + "\n",
    ],
)
def test_what_is_no_receipt_is_refused(head: str) -> None:
    with pytest.raises(BadReceipt):
        Receipt.parse(head + receipt().checkpoint.decode())


def test_a_receipt_that_breaks_off_says_so() -> None:
    with pytest.raises(BadReceipt, match="breaks off before its checkpoint"):
        Receipt.parse(receipt().text().partition("\n\n")[0])
