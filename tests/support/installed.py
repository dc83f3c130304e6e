"""What an installation can do, said in JSON: run in the image, it shows that nothing which is read was taken out."""

from __future__ import annotations

import importlib
import json
import pkgutil
from typing import Any

import services
import shared

SCRIPTS = ("services.deploy.healthy",)
"""What is run and not imported."""


def broken() -> dict[str, str]:
    """The modules that cannot be imported, each with the reason."""
    found: dict[str, str] = {}
    for package in (services, shared):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda _: None):
            if not module.name.endswith("__main__") and module.name not in SCRIPTS:
                _try(found, module.name)
    return found


def _try(found: dict[str, str], name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001  # whatever a module needs and does not find
        found[name] = repr(error)


def read() -> dict[str, Any]:
    """How every locale writes amounts and days, the sign of every currency, and a sheet of labels."""
    from babel.localedata import locale_identifiers
    from babel.numbers import get_currency_symbol
    from iso4217 import Currency

    from services.exports.labels import SHEETS, Label, as_pdf
    from services.imports.amounts import notation
    from services.imports.days import locale_order

    return {
        "locales": {name: [_written(notation(name)), locale_order(name)] for name in sorted(locale_identifiers())},
        "currencies": {one.value: get_currency_symbol(one.value, locale="en") for one in Currency},
        "labels": as_pdf([Label("b-1", "sat-12")], SHEETS["a4-24"]).hex(),
    }


def _written(notation: Any) -> list[Any]:
    return [notation.decimal, sorted(notation.marks), notation.last, notation.others]


if __name__ == "__main__":
    print(json.dumps({"broken": broken(), "read": read()}))
