"""Write the reference, or check that what is checked in is what the contracts say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from services.reference.files import missing_versions, reference


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m services.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file differs")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="the folder to write into (docs)")
    given = parser.parse_args(arguments)
    files = reference()
    stale = [
        name
        for name, text in files.items()
        if not (given.docs / name).exists() or (given.docs / name).read_text(encoding="utf-8") != text
    ]
    lost = missing_versions(given.docs)
    for name in lost:
        print(
            f"docs/{name} is missing: restore it from history, events of that version are still read", file=sys.stderr
        )
    if given.check:
        for name in stale:
            print(f"docs/{name} is not what the contracts say; run: python -m services.reference", file=sys.stderr)
        return 1 if stale or lost else 0
    for name in stale:
        (given.docs / name).parent.mkdir(parents=True, exist_ok=True)
        (given.docs / name).write_text(files[name], encoding="utf-8")
    print(f"{len(files)} files, {len(stale)} written")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
