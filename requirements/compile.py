"""Writes the three requirements files with hashes out of pyproject.toml. Needs uv, whichever way it was installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

OPTIONS = [
    "pip",
    "compile",
    "--quiet",
    "--upgrade",
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",  # where somebody downloads from is theirs to choose
    "--no-emit-find-links",
    "--no-annotate",
    "--custom-compile-command=make requirements",
]

FILES: dict[str, list[str]] = {
    "runtime": [],
    "dev": ["--group", "dev"],
    "bench": ["--group", "dev", "--group", "bench"],
}


def main() -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        sys.exit("requirements/compile.py needs uv on the PATH: install it (pip install uv) and run it again.")
    for name, groups in FILES.items():
        output = ["--output-file", f"requirements/{name}.txt"]
        subprocess.run([uv, *OPTIONS, *groups, *output, "pyproject.toml"], check=True, cwd=ROOT)  # noqa: S603


if __name__ == "__main__":
    main()
