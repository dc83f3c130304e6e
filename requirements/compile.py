"""Writes the three requirements files with hashes out of pyproject.toml. Needs uv, whichever way it was installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

FILES = {
    "runtime": [],
    "dev": ["--group", "dev"],
    "bench": ["--group", "dev", "--group", "bench"],
}


def main() -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        sys.exit("requirements/compile.py needs uv on the PATH: install it (pip install uv) and run it again.")
    for name, groups in FILES.items():
        subprocess.run(
            [
                uv, "pip", "compile", "--quiet", "--upgrade", "--universal", "--python-version=3.11", "--generate-hashes",
                "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--custom-compile-command=make requirements",
                *groups, "pyproject.toml", "--output-file", f"requirements/{name}.txt",
            ],
            check=True,
            cwd=Path(__file__).resolve().parent.parent,
        )  # fmt: skip


if __name__ == "__main__":
    main()
