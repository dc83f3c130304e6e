"""An exported file is there whole or not at all, and where none can be written nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.commands.door import Usage
from services.commands.exporting import whole


def test_a_file_appears_when_all_of_it_is_written(tmp_path: Path) -> None:
    with whole(tmp_path / "books.csv") as file:
        file.write(b"entry\n")
        assert not (tmp_path / "books.csv").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["books.csv"]
    assert (tmp_path / "books.csv").read_bytes() == b"entry\n"


def test_what_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken off"), whole(tmp_path / "books.csv"):
        raise ValueError("broken off")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_comes_in_between_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"), whole(tmp_path / "books"):
        (tmp_path / "books").mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["books"]


def test_a_folder_is_no_file_to_write(tmp_path: Path) -> None:
    with pytest.raises(Usage, match=r"is a folder\. Name the file"), whole(tmp_path):
        pass
    assert not list(tmp_path.iterdir()) and not list(tmp_path.parent.glob(f".{tmp_path.name}.*"))


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="Make the folder first"), whole(tmp_path / "out" / "books.csv"):
        pass
    assert not list(tmp_path.iterdir())
