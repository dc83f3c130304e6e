"""By what patients are found: how the words of their names begin, their birth date, and numbers others know them by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from services.clinic.contract import ContactChanged, Demographics, PatientRegistered, clinic
from services.projections.clinic.base import ROLE, SCHEMA
from services.projections.search import Part, Searched, words_of_a_name
from shared.blind import blind
from shared.errors import Corrupt
from shared.heldvalue import read


def names_of(who: Demographics) -> str:
    """All of a patient's names in one text."""
    return " ".join([*who.given, who.family or ""]).strip()


def born_token(key: bytes, born: date) -> str:
    """What finds those who were born on a day."""
    return blind(key, "born", born.isoformat())


def identifier_token(key: bytes, identifier: str) -> str:
    """What finds who is known by a number; upper and lower case make no difference."""
    return blind(key, "identifier", identifier)


def forms_of(identifier: str) -> list[str]:
    """The ways in which a number is asked for: as it stands, `system|value`, and its value alone."""
    _, bar, value = identifier.rpartition("|")
    return [identifier, value] if bar and value else [identifier]


def _sealed(data: Any) -> Mapping[Part, list[str]]:
    if isinstance(data, PatientRegistered | ContactChanged):
        return {(data.patient, "demographics"): [data.content]}
    return {}


def _tokens(key: bytes, text: str) -> Iterable[str]:
    try:
        who = read(text, Demographics)
    except Corrupt:
        return
    yield from words_of_a_name(key, names_of(who))
    if who.born is not None:
        yield born_token(key, who.born)
    for identifier in who.identifiers:
        for form in forms_of(identifier):
            yield identifier_token(key, form)


PATIENTS: Final = Searched(clinic, "patient", 1, _sealed, _tokens, schema=SCHEMA, role=ROLE)
