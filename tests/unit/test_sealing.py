"""A sealed text opens under its own key, as what it says it is, and in no other way."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Corrupt, Invalid, Misconfigured, TooLarge
from shared.event import event_id
from shared.masterkeys import MasterKeys, WrongMasterKey, add_to_file, from_file, from_text, name_of
from shared.masterkeys import given as given_keys
from shared.personal import SEALED_PATTERN
from shared.sealing import MAX_TEXT_BYTES, is_owner, is_sealed, parts_of, seal, sealed_length, unseal

KEY = AESGCM(bytes(32))
EVENT = event_id("ledger.club.member.m-1", "1")
OTHER = event_id("ledger.club.member.m-1", "2")


def _sealed(text: str = "Ana Ruiz", field: str = "name") -> str:
    return seal(KEY, 7, "party/p-12", EVENT, field, text)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300))
def test_what_was_sealed_comes_back(text: str) -> None:
    sealed = _sealed(text, "lines.3.payee")
    assert re.fullmatch(SEALED_PATTERN, sealed)
    parts = parts_of(sealed)
    assert (parts.number, parts.owner, parts.field, parts.event_id) == (7, "party/p-12", "lines.3.payee", EVENT)
    assert unseal(KEY, parts) == text


def test_the_same_text_is_never_sealed_the_same() -> None:
    assert len({_sealed() for _ in range(50)}) == 50


def test_names_of_like_length_are_not_told_apart_by_it() -> None:
    assert len({len(_sealed("x" * n)) for n in range(1, 17)}) == 1


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300), st.integers(1, 10**9 - 1)
)
def test_how_long_a_sealed_text_may_be_is_known_beforehand(text: str, number: int) -> None:
    made = len(seal(KEY, number, "party/p-12", EVENT, "lines.3.payee", text))
    assert made <= sealed_length("party/p-12", "lines.3.payee", text) <= made + 8 + 22 + 2


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("sealed:7", "sealed:8"),
        lambda text: text.replace("party/p-12", "party/p-13"),
        lambda text: text.replace(":name:", ":contact:"),
        lambda text: text.replace(text.split(":")[4][:22], _sealed_in(OTHER).split(":")[4][:22]),
    ],
    ids=["number", "owner", "field", "event"],
)
def test_it_opens_only_as_what_it_was_sealed_for(change) -> None:  # type: ignore[no-untyped-def]
    moved = change(_sealed())
    assert moved != _sealed() and is_sealed(moved)
    with pytest.raises(Corrupt, match="was changed, or is not from there"):
        unseal(KEY, parts_of(moved))


def _sealed_in(event: str) -> str:
    return seal(KEY, 7, "party/p-12", event, "name", "Ana Ruiz")


def test_no_bit_of_it_can_be_changed() -> None:
    head, _, written = _sealed().rpartition(":")
    raw = base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        with pytest.raises(Corrupt):
            unseal(KEY, parts_of(f"{head}:{base64.urlsafe_b64encode(changed).rstrip(b'=').decode()}"))


@pytest.mark.parametrize(
    "text", ["", "Ana Ruiz", "sealed:1:party/p-1:name:", "sealed:1:party/p-1:name:AAAA", "sealed:x"]
)
def test_what_is_no_sealed_text_is_refused(text: str) -> None:
    with pytest.raises(Corrupt):
        parts_of(text)


@given(st.text("AZaz09-_+/=:.\n é", max_size=80), st.text("AZaz09-_+/=:.\n é", max_size=8))
def test_what_is_taken_apart_is_what_the_pattern_says(written: str, field: str) -> None:
    for text in (f"sealed:7:party/p-12:name:{written}", f"sealed:7:party/p-12:{field}:{written}", written):
        if not is_sealed(text):
            with pytest.raises(Corrupt, match="should be sealed is not"):
                parts_of(text)
        elif len(written) % 4 == 1 or len(written) * 3 // 4 < 16 + 12 + 32:
            with pytest.raises(Corrupt, match="cut off"):
                parts_of(text)
        else:
            parts = parts_of(text)
            again = base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))
            assert (parts.event + parts.box, parts.number, parts.owner) == (again, 7, "party/p-12")


@pytest.mark.parametrize("wrong", ["+", "/", "=", "\n", "é", " "])
def test_nothing_that_is_no_base64url_stands_in_it(wrong: str) -> None:
    for text in (_sealed() + wrong, f"{_sealed()[:-20]}{wrong}{_sealed()[-20:]}"):
        with pytest.raises(Corrupt, match="should be sealed is not"):
            parts_of(text)


def test_a_text_is_bounded_and_has_no_null() -> None:
    assert unseal(KEY, parts_of(_sealed("x" * MAX_TEXT_BYTES))) == "x" * MAX_TEXT_BYTES
    with pytest.raises(TooLarge, match="The field name is 16,385 bytes"):
        _sealed("x" * (MAX_TEXT_BYTES + 1))
    with pytest.raises(Invalid, match="null"):
        _sealed("a\0b")


def test_an_owner_is_a_field_and_an_id() -> None:
    assert is_owner("party/p-12")
    for wrong in ("party", "party/", "/p-12", "party/a.b", "party/a b", "party/p-12/x", "Party/p", "party/p\n"):
        assert not is_owner(wrong)


# -- master keys ------------------------------------------------------------------------------------------------------


def test_a_wrapped_key_opens_under_the_master_key_that_wrapped_it_and_for_what_it_was_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    first = add_to_file(path)
    before = from_file(path)
    wrapped = before.wrap(b"k" * 32, "club|party/p-1|1")
    second = add_to_file(path)
    now = from_file(path)
    assert (now.current, now.names) == (second, (second, first))
    assert now.unwrap(first, wrapped, "club|party/p-1|1") == b"k" * 32
    with pytest.raises(WrongMasterKey, match="does not open"):
        now.unwrap(first, wrapped, "club|party/p-2|1")
    with pytest.raises(WrongMasterKey, match="does not open"):
        now.unwrap(second, wrapped, "club|party/p-1|1")
    with pytest.raises(WrongMasterKey, match="which was not given"):
        MasterKeys({"other": os.urandom(32)}).unwrap(first, wrapped, "club|party/p-1|1")


def test_a_file_of_master_keys_that_others_may_read_is_refused(tmp_path: Path) -> None:
    add_to_file(tmp_path / "master.key")
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "master.key").chmod(0o640)
    with pytest.raises(Misconfigured, match="chmod 600"):
        from_file(tmp_path / "master.key")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a:c2hvcnQ=\n", "line 1: a master key is 32 bytes"),
        ("c2hvcnQ=\n", "line 1: a line is"),
        (f"a:{'A' * 43}=\n\na:{'A' * 43}=\n", "line 3: a line is"),
        ("ä:x", "not plain text"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(Misconfigured, match=message):
        from_file(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="No such file"):
        from_file(tmp_path / "none")


def test_one_master_key_may_come_as_a_text() -> None:
    key = os.urandom(32)
    written = base64.b64encode(key).decode()
    assert from_text(written + "\n").current == name_of(key)
    assert given_keys(None, None) is None
    with pytest.raises(Misconfigured, match="32 bytes"):
        from_text("secret")
    with pytest.raises(Misconfigured, match="Both"):
        given_keys(Path("x"), written)
