"""What looks for leaks finds them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.leaks import leaks


@pytest.mark.parametrize(
    "content",
    [
        "before Zoë Ångström after".encode(),
        b"\0" * 100 + "ZOË ÅNGSTRÖM".encode() + b"\0" * 100,
        json.dumps({"name": "Zoë Ångström"}).encode(),
        "Zoë Ångström".encode("utf-16-le"),
        "\ufeffZoë Ångström".encode("utf-16-be"),
    ],
)
def test_a_word_is_found_however_it_is_written(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "1.blk").write_bytes(content)
    assert leaks(["Zoë Ångström", "Ana"], tmp_path) == {"Zoë Ångström": {"sub/1.blk"}}
