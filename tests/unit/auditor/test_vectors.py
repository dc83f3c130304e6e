"""What the specifications and their first implementations publish as examples and test vectors holds here.

COMMONS_VECTORS names a folder with copies of their repositories (CONTRIBUTING.md); without it these tests are skipped.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from services.auditor.checkpoint import unverified
from services.auditor.merkle import BadProof, verify_consistency, verify_inclusion
from services.auditor.notes import Cosigner, Note, Signer, Verifier, open_note

FOLDER = Path(os.environ.get("COMMONS_VECTORS", "/nowhere"))

pytestmark = pytest.mark.skipif("COMMONS_VECTORS" not in os.environ, reason="COMMONS_VECTORS names no folder")


def _file(repository: str, path: str) -> str:
    return (FOLDER / repository / path).read_text(encoding="utf-8")


def _cases(kind: str) -> list[Any]:
    cases = [json.loads(path.read_text()) for path in sorted((FOLDER / "merkle/testdata" / kind).rglob("*.json"))]
    assert len(cases) > 90, f"{FOLDER}/merkle holds too few vectors of {kind}"
    return cases


def _bytes(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def _holds(verify: Any, *arguments: Any) -> bool:
    try:
        verify(*arguments)
    except BadProof:
        return False
    return True


def test_proofs_of_inclusion_of_transparency_dev() -> None:
    for case in _cases("inclusion"):
        proof = [_bytes(each) for each in case["proof"] or []]
        arguments = _bytes(case["leafHash"]), case["leafIdx"], case["treeSize"], proof, _bytes(case["root"])
        assert _holds(verify_inclusion, *arguments) is not case["wantErr"], case


def test_proofs_of_consistency_of_transparency_dev() -> None:
    for case in _cases("consistency"):
        proof = [_bytes(each) for each in case["proof"] or []]
        arguments = case["size1"], case["size2"], proof, _bytes(case["root1"]), _bytes(case["root2"])
        assert _holds(verify_consistency, *arguments) is not case["wantErr"], case


def _blocks(page: str) -> list[str]:
    return re.findall(r"^```\n(.*?)^```$", _file("C2SP", page), re.MULTILINE | re.DOTALL)


def test_the_example_of_signed_note() -> None:
    key = re.search(r"^    (example\.com/foo\+\S+)$", _file("C2SP", "signed-note.md"), re.MULTILINE)
    assert key is not None
    verifier = Verifier.parse(key[1])
    opened = open_note(_blocks("signed-note.md")[-1].encode(), [verifier])
    assert str(verifier) == key[1] and opened.text == "This is an example message.\n"


def test_the_examples_of_checkpoints_and_cosignatures() -> None:
    for page in ("tlog-checkpoint.md", "tlog-cosignature.md"):
        raw = _blocks(page)[0].encode()
        assert (unverified(raw).origin, unverified(raw).size) == ("example.com/behind-the-sofa", 20_852_163)
        assert Note.parse(raw).to_bytes() == raw
    assert Note.parse(raw).signatures[1].time == 1_679_315_147


def test_keys_and_signatures_of_go() -> None:
    tests = _file("mod", "sumdb/note/note_test.go")
    secret = re.search(r'"(PRIVATE\+KEY\+PeterNeumann\S+)"', tests)
    public = re.findall(r'"((?:PeterNeumann|EnochRoot)\+\S+)"', tests)
    lines = dict(re.findall(r'"— (PeterNeumann|EnochRoot) (\S+)\\n"', tests))
    assert secret is not None
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signer = Signer.parse(secret[1])
    assert signer.secret() == secret[1] and str(signer.verifier) == public[0]
    assert signer.sign(text).line == f"— PeterNeumann {lines['PeterNeumann']}"
    verifiers = [Verifier.parse(key) for key in set(public) if "BADKEY" not in key and "173116ae" not in key]
    raw = (text + "\n" + "".join(f"— {name} {made}\n" for name, made in sorted(lines.items()))).encode()
    assert {each.name for each in open_note(raw, verifiers).signatures} == {"PeterNeumann", "EnochRoot"}


def test_a_cosigners_key_has_the_id_of_the_specification() -> None:
    """c2sp.org/signed-note's assigned byte: the same seed as a log's key and as a witness's has two ids."""
    page = _file("C2SP", "tlog-cosignature.md")
    assert "0x04 || 32-byte Ed25519 cosigner public key" in page
    assert Verifier.parse(str(Cosigner("w.example", bytes(32)).verifier)).kind == 4
