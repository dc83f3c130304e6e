"""Takes out of an image's site-packages what no process reads; infra/Dockerfile runs it with the image's own Python.

Babel is asked how each locale writes numbers and short dates (services/imports). Its names of languages, countries,
time zones, units and currencies, in every language, are three quarters of it, and nobody asks for them.
"""

from __future__ import annotations

import pickle
import shutil
import sysconfig
from pathlib import Path
from typing import Final

UNREAD: Final = (
    "fhir/resources/STU3", "fhir/resources/*.py",  # other versions of FHIR than R4B
    "faststream/confluent", "faststream/kafka", "faststream/mqtt", "faststream/rabbit", "faststream/redis",
    "pygments/lexers/*.py",  # what colours programmes in hundreds of languages
    "pydantic/v1",
    "**/tests", "**/*.pyx", "**/*.pxd", "**/*.pyi", "**/*.c", "**/*.h",
)  # fmt: skip
READ: Final = (
    "fhir/resources/__init__.py", "pygments/lexers/__init__.py", "pygments/lexers/_mapping.py",
    "pygments/lexers/python.py", "pygments/lexers/special.py",
)  # fmt: skip
"""What a pattern of the unread would take."""

NAMES: Final = frozenset(
    {
        "compact_currency_formats", "compact_decimal_formats", "compound_unit_patterns", "currency_names",
        "currency_names_plural", "date_fields", "datetime_skeletons", "interval_formats", "languages", "meta_zones",
        "scripts", "territories", "time_zones", "unit_display_names", "unit_patterns", "variants",
    }
)  # fmt: skip
"""What Babel knows in words, by locale."""


def main() -> None:
    site = Path(sysconfig.get_path("purelib"))
    for data in (site / "babel" / "locale-data").glob("*.dat"):
        known = pickle.loads(data.read_bytes())  # noqa: S301  # of the package itself, whose hash was checked
        data.write_bytes(pickle.dumps({name: found for name, found in known.items() if name not in NAMES}, 2))
    read = {site / name for name in READ}
    for pattern in UNREAD:
        for path in set(site.glob(pattern)) - read:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
