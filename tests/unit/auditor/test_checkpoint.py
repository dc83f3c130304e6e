"""A checkpoint is what c2sp.org/tlog-checkpoint says, and nothing near it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auditor.checkpoint import MAX_SIZE, BadCheckpoint, Checkpoint, open_checkpoint, unverified
from services.auditor.notes import BadNote, Note, Signer

LOG = Signer.generate("pantry.example/inventory")
ROOT = bytes(range(32))

lines = st.text(st.characters(blacklist_categories=["Cs"], min_codepoint=32), min_size=1, max_size=20)


def test_a_checkpoint_is_three_lines() -> None:
    text = "example.com/behind-the-sofa\n20852163\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    assert Checkpoint("example.com/behind-the-sofa", 20_852_163, ROOT).text() == text


@given(lines, st.integers(0, MAX_SIZE), st.binary(min_size=32, max_size=32), st.lists(lines, max_size=3))
def test_what_was_written_is_read(origin: str, size: int, root: bytes, extensions: list[str]) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


@pytest.mark.parametrize("size", ["", "01", "+1", "-1", " 1", "1 ", "1_0", "0x1", "١", str(MAX_SIZE + 1), "9" * 5000])
def test_a_size_is_a_plain_number(size: str) -> None:
    with pytest.raises(BadCheckpoint):
        Checkpoint.parse(Checkpoint("o", 1, ROOT).text().replace("\n1\n", f"\n{size}\n"))


@pytest.mark.parametrize(
    "root",
    [
        "",
        "AAECAw==",
        "not base64",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    ],
)
def test_a_root_is_the_base64_of_32_bytes_in_its_one_form(root: str) -> None:
    with pytest.raises(BadCheckpoint):
        Checkpoint.parse(f"o\n1\n{root}\n")


def test_lines_are_whole_and_not_empty() -> None:
    text = Checkpoint("o", 1, ROOT).text()
    for wrong in (text[:-1], text + "\n", text + "ext\n\n", "\n" + text, "o\n1\n", text.replace("\n", "\r\n"), ""):
        with pytest.raises(BadNote):
            Checkpoint.parse(wrong)


def test_a_signed_checkpoint_opens_for_its_own_log() -> None:
    checkpoint = Checkpoint(LOG.name, 5, ROOT)
    raw = Note(checkpoint.text(), [LOG.sign(checkpoint.text())]).to_bytes()
    assert open_checkpoint(raw, LOG.name, [LOG.verifier]) == unverified(raw) == checkpoint
    with pytest.raises(BadCheckpoint, match="was asked for"):
        open_checkpoint(raw, "other.example/log", [LOG.verifier])
    with pytest.raises(BadNote, match="No key that is trusted"):
        open_checkpoint(raw, LOG.name, [Signer.generate(LOG.name).verifier])
