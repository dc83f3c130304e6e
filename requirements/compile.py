"""Writes the requirements files with hashes out of pyproject.toml. Needs uv, whichever way it was installed."""

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
    "runtime": ["pyproject.toml"],
    "build": ["--group", "build"],
    "dev": ["--extra", "local", "--group", "dev", "pyproject.toml"],
    "bench": ["--extra", "local", "--group", "dev", "--group", "bench", "pyproject.toml"],
}
"""Of each file, what it is made of: the image is built of `runtime`, by `build`."""


def main() -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        sys.exit("requirements/compile.py needs uv on the PATH: install it (pip install uv) and run it again.")
    for name, parts in FILES.items():
        output = ["--output-file", f"requirements/{name}.txt"]
        subprocess.run([uv, *OPTIONS, *output, *parts], check=True, cwd=ROOT)  # noqa: S603


if __name__ == "__main__":
    main()
