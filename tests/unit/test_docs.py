"""What the guides show is what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md") if "node_modules" not in page.parts)


@pytest.mark.parametrize(
    ("page", "example"),
    [
        ("consuming.md", "consumer.py"),
        ("consuming.md", "consumer.mjs"),
        ("consuming.md", "package.json"),
        ("replaying.md", "replay.py"),
        ("auditing.md", "receipt.py"),
    ],
)
def test_a_page_shows_its_example_as_it_is(page: str, example: str) -> None:
    text = (DOCS / "examples" / example).read_text(encoding="utf-8")
    shown = re.findall(r"^```\w+\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert text in shown, f"docs/{page} does not show docs/examples/{example} word for word: paste it in again"


def test_every_example_is_shown() -> None:
    pages = "".join((DOCS / page).read_text(encoding="utf-8") for page in PAGES)
    for example in (DOCS / "examples").iterdir():
        if example.is_file():
            assert f"(examples/{example.name})" in pages


@pytest.mark.parametrize("page", PAGES)
def test_every_link_between_pages_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text(encoding="utf-8")):
        assert (DOCS / page).parent.joinpath(target).exists(), f"docs/{page} links to {target}, which is not there"


def test_no_lock_file_holds_somebodys_registry() -> None:
    assert not list((DOCS / "examples").glob("*lock*"))
