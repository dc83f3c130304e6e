"""A note is what c2sp.org/signed-note says, byte for byte, and a changed one opens for nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auditor.notes import (
    MAX_SIGNATURES,
    BadKey,
    BadNote,
    Cosigner,
    Kind,
    Note,
    Signature,
    Signer,
    Verifier,
    cosigned_message,
    is_name,
    open_note,
    public_path,
)

SIGNER = Signer("pantry.example/inventory", bytes(range(32)))
OTHER = Signer("clinic.example/log", bytes(range(1, 33)))
WITNESS = Cosigner("witness.example/w1", bytes(range(2, 34)))
TEXT = "Origin\n12\n\nand more\n"
RAW = Note(TEXT, [SIGNER.sign(TEXT), OTHER.sign(TEXT), WITNESS.sign(TEXT, 1_679_315_147)]).to_bytes()

texts = st.text(st.characters(blacklist_categories=["Cs"], min_codepoint=32), max_size=40).map(lambda text: text + "\n")


@given(st.lists(texts, min_size=1, max_size=4).map("".join))
def test_what_was_signed_opens(text: str) -> None:
    signatures = [SIGNER.sign(text), WITNESS.sign(text, 7)]
    opened = open_note(Note(text, signatures).to_bytes(), [SIGNER.verifier, WITNESS.verifier])
    assert opened == Note(text, signatures)
    assert opened.signatures[1].time == 7


def test_a_note_looks_as_the_specification_shows() -> None:
    lines = RAW.decode().split("\n")
    assert RAW.startswith(TEXT.encode() + "\n— pantry.example/inventory ".encode())
    assert lines[-1] == "" and all(line.startswith("— ") for line in lines[-4:-1])
    assert cosigned_message("a\n", 5) == b"cosignature/v1\ntime 5\na\n"


def test_no_changed_byte_leaves_a_note_open() -> None:
    """Every bit of it: either the note no longer opens, or it has the same text and one signature less."""
    verifiers = [SIGNER.verifier, OTHER.verifier, WITNESS.verifier]
    assert len(open_note(RAW, verifiers).signatures) == 3
    for at in range(len(RAW)):
        for bit in range(8):
            changed = RAW[:at] + bytes([RAW[at] ^ 1 << bit]) + RAW[at + 1 :]
            try:
                opened = open_note(changed, verifiers)
            except BadNote:
                continue
            # The name or the id of one signer was changed: that signature is a stranger's now, the others still hold.
            assert opened.text == TEXT and len(opened.signatures) == 2


def test_no_cut_note_is_taken_for_a_whole_one() -> None:
    for end in range(len(RAW)):
        with pytest.raises(BadNote):
            open_note(RAW[:end], [WITNESS.verifier])


def test_strangers_signatures_are_passed_over() -> None:
    opened = open_note(RAW, [OTHER.verifier])
    assert [signature.name for signature in opened.signatures] == [OTHER.name]
    with pytest.raises(BadNote, match="No key that is trusted"):
        open_note(RAW, [Signer.generate(SIGNER.name).verifier])
    with pytest.raises(BadNote, match="No key that is trusted"):
        open_note(RAW, [])


def test_a_bad_signature_of_a_known_key_spoils_the_note() -> None:
    bad = Signature(OTHER.name, OTHER.verifier.key_id, bytes(64))
    raw = Note(TEXT, [SIGNER.sign(TEXT), bad]).to_bytes()
    open_note(raw, [SIGNER.verifier])
    with pytest.raises(BadNote, match=r"clinic.example/log .* does not fit"):
        open_note(raw, [SIGNER.verifier, OTHER.verifier])


def test_a_key_signs_for_one_purpose() -> None:
    """The same bytes as a witness's key have another id, and the log's signature is no cosignature."""
    log, witness = Signer("one.example", bytes(32)), Cosigner("one.example", bytes(32))
    assert log.verifier.key_id != witness.verifier.key_id
    posed = Signature(witness.name, witness.verifier.key_id, log.sign(TEXT).value)
    assert not witness.verifier.holds(TEXT, posed)
    with pytest.raises(BadNote, match="not a cosignature"):
        _ = log.sign(TEXT).time
    with pytest.raises(BadKey, match="type 0x04"):
        Signer.parse(witness.secret())


def test_a_repeated_signature_counts_once() -> None:
    note = Note(TEXT, [SIGNER.sign(TEXT), SIGNER.sign(TEXT)])
    assert len(open_note(note.to_bytes(), [SIGNER.verifier]).signatures) == 1
    assert len(note.signed(SIGNER.sign(TEXT)).signatures) == 1


def test_one_key_under_two_names_counts_once() -> None:
    """A cosignature has no name in it: who has one can copy it under any other name."""
    witness = Cosigner("north/witness", bytes([7] * 32))
    made = witness.sign(TEXT, 1)
    twin = Verifier("north/twin", Kind.COSIGNATURE, witness.verifier.public)
    copied = Signature(twin.name, twin.key_id, made.value)
    assert twin.holds(TEXT, copied)
    assert Note(TEXT, [made, copied]).verified([witness.verifier, twin]) == [made]


@pytest.mark.parametrize("text", ["", "no newline", "a\tb\n", "a\r\n", "a\0\n"])
def test_what_is_no_text_is_not_signed(text: str) -> None:
    with pytest.raises(BadNote):
        SIGNER.sign(text)
    with pytest.raises(BadNote):
        Note(text, [SIGNER.sign(TEXT)]).to_bytes()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAAA",
        b"text\n\n\xe2\x80\x94 name\n",
        b"text\n\n\xe2\x80\x94 name AAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA\n",
        b"text\n\n\xe2\x80\x94  AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 na+me AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 na\xc2\xa0me AAAAAAAA\n",
        b"text\n\n- name AAAAAAAA\n",
        b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAAA\n",
        b"te\rxt\n\n\xe2\x80\x94 name AAAAAAAA\n",
    ],
)
def test_what_is_no_note_is_refused(raw: bytes) -> None:
    with pytest.raises(BadNote):
        Note.parse(raw)


def test_signatures_without_end_are_refused() -> None:
    Note.parse(Note(TEXT, [SIGNER.sign(TEXT)] * MAX_SIGNATURES).to_bytes())
    with pytest.raises(BadNote, match="at most 100"):
        Note.parse(Note(TEXT, [SIGNER.sign(TEXT)] * (MAX_SIGNATURES + 1)).to_bytes())


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("a.example/b", True),
        ("é", True),
        ("", False),
        ("a b", False),
        ("a+b", False),
        ("a\u2003b", False),
        ("a\n", False),
    ],
)
def test_names_of_keys(name: str, right: bool) -> None:
    assert is_name(name) is right
    if not right:
        with pytest.raises(BadKey, match="not a key's name"):
            Signer.generate(name)


def test_keys_are_read_as_they_were_written(tmp_path: Path) -> None:
    for key in (Signer.generate("a.example"), Cosigner.generate("b.example/w")):
        path = tmp_path / "keys" / f"{key.name.replace('/', '-')}.key"
        key.write(path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert type(key).read(path).verifier == key.verifier == Verifier.parse(public_path(path).read_text().strip())
        assert key.secret() not in repr(key)
        with pytest.raises(FileExistsError):
            key.write(path)


def test_no_changed_key_is_taken() -> None:
    secret, public = SIGNER.secret(), str(SIGNER.verifier)
    assert Signer.parse(secret).verifier == Verifier.parse(public) == SIGNER.verifier
    for end in range(len(public)):
        with pytest.raises(BadKey):
            Verifier.parse(public[:end])
    for parse, text in ((Signer.parse, secret), (Verifier.parse, public)):
        for at in range(len(text)):
            with pytest.raises(BadKey) as caught:
                parse(text[:at] + chr(ord(text[at]) + 1) + text[at + 1 :])
            assert secret[-30:] not in str(caught.value)
    with pytest.raises(BadKey) as caught:
        Verifier.parse(secret)
    assert secret[-30:] not in str(caught.value)


def test_two_keys_under_one_id_are_not_guessed_between() -> None:
    twin = Verifier(SIGNER.name, SIGNER.verifier.kind, OTHER.verifier.public)
    object.__setattr__(twin, "key_id", SIGNER.verifier.key_id)
    open_note(RAW, [SIGNER.verifier, SIGNER.verifier])
    with pytest.raises(BadKey, match="Two keys"):
        open_note(RAW, [SIGNER.verifier, twin])


def test_a_cosignature_holds_at_its_own_time_alone() -> None:
    made = WITNESS.sign(TEXT, 100)
    assert WITNESS.verifier.holds(TEXT, made)
    later = Signature(made.name, made.key_id, (101).to_bytes(8, "big") + made.value[8:])
    assert not WITNESS.verifier.holds(TEXT, later)
    for time in (-1, 2**63):
        with pytest.raises(ValueError, match="not a time"):
            WITNESS.sign(TEXT, time)
