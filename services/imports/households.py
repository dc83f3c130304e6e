"""Households from a CSV file, as RegisterHousehold commands: one row a household, or one row a person.

A file of persons is told by a column that only a person has (age, year of birth, age band, a person's id); its rows are
gathered by the household's key. Ages, years and days of birth become age bands at once and are stored nowhere.

Command ids are made of the household's id alone, and of nothing personal: an id stands in clear in every event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from services.distribution.contract import MAX_MEMBERS, AgeBand
from services.imports import days
from services.imports.ages import band_of, band_of_age, born_in
from services.imports.cells import Unreadable, whole
from services.imports.columns import Usual, columns_in
from services.imports.plan import ForAPerson, Planned, Read, Refused, command_id
from services.imports.source import Columns, Row, column_name, likeliest_header, rows
from services.inventory.contract import allergens_in
from shared.errors import Invalid
from shared.types import is_id

USUAL: Final[Usual] = {
    "household": ("household", "household_id", "household_no", "household_number", "hh", "hh_id", "family_id",
                  "case_id", "client_id", "haushalt", "haushaltsnummer", "foyer", "hogar"),
    "card": ("card", "card_no", "card_number", "card_code", "barcode", "karte", "kartennummer", "carte", "tarjeta"),
    "household_name": ("household_name", "family_name", "family", "haushaltsname"),
    "name": ("name", "full_name", "contact_name", "client_name", "person_name", "member_name", "nom", "nombre"),
    "first_name": ("first_name", "given_name", "vorname", "prénom", "prenom"),
    "last_name": ("last_name", "surname", "nachname", "nom_de_famille", "apellido", "apellidos"),
    "phone": ("phone", "telephone", "mobile", "phone_number", "telefon", "téléphone", "teléfono", "telefono"),
    "email": ("email", "e_mail", "email_address", "courriel", "correo"),
    "contact": ("contact", "kontakt", "contacto"),
    "address": ("address", "street_address", "adresse", "anschrift", "dirección", "direccion"),
    "language": ("language", "preferred_language", "sprache", "langue", "idioma"),
    "note": ("note", "notes", "comment", "comments", "bemerkung", "notiz", "remarque", "nota", "notas"),
    "size": ("size", "household_size", "family_size", "people", "persons", "members", "personen", "größe", "groesse",
             "haushaltsgröße", "haushaltsgroesse", "personenzahl", "anzahl_personen", "taille", "taille_du_foyer",
             "personnes", "nombre_de_personnes", "tamaño", "tamano", "personas", "número_de_personas", "integrantes"),
    "children": ("children", "kids", "under_18", "0_17", "minors", "kinder", "enfants", "niños", "ninos", "menores"),
    "adults": ("adults", "18_59", "erwachsene", "adultes", "adultos"),
    "seniors": ("seniors", "60+", "65+", "over_60", "over_65", "elderly", "older_adults", "senioren", "aînés",
                "personnes_âgées", "mayores"),
    "basis": ("basis", "eligibility", "eligible_by", "reason", "eligibility_basis"),
    "signature": ("signature", "signed", "unterschrift", "firma"),
    "eligible_until": ("eligible_until", "valid_until", "expires", "expiry", "recertify_by", "gültig_bis",
                       "gueltig_bis", "berechtigt_bis", "valable_jusqu'au", "válido_hasta", "valido_hasta"),
    "person": ("person", "person_id", "member", "member_id", "individual_id"),
    "age": ("age", "alter", "âge", "edad"),
    "born": ("born", "birth_year", "year_of_birth", "yob", "birth_date", "birthdate", "date_of_birth", "dob",
             "geburtsdatum", "geburtsjahr", "date_de_naissance", "année_de_naissance", "fecha_de_nacimiento",
             "año_de_nacimiento"),
    "band": ("band", "age_band", "age_group", "altersgruppe", "tranche_d'âge", "grupo_de_edad"),
    "diet": ("diet", "dietary_needs", "dietary_requirements", "dietary_restrictions", "ernährung", "régime", "dieta"),
    "allergens": ("allergens", "allergies", "allergy", "food_allergies", "intolerances", "allergien", "allergene",
                  "allergènes", "alergias", "alérgenos"),
}  # fmt: skip
"""The columns of both layouts, in lower case and with underscores, as headers are compared."""

EXAMPLE: Final = "household=HH No,size=People"

_PERSONS: Final = frozenset({"person", "age", "born", "band"})
_TEXTS: Final = ("address", "language", "note", "basis", "signature")
_OF_HOUSEHOLD: Final = (*_TEXTS, "household_name", "card", "phone", "email", "contact", "size", "eligible_until")
_DATE: Final = re.compile(r"\d+[-./]\d+[-./]\d+", re.ASCII)
_COUNTED: Final = {"children": AgeBand.CHILD, "adults": AgeBand.ADULT, "seniors": AgeBand.SENIOR}


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is to be read: columns by hand, the day for which ages are reckoned, and the form of dates.

    `cards` are those of households that are registered, with whose each is.
    """

    on: date
    columns: Mapping[str, str] = field(default_factory=dict)
    date_format: str | None = None
    cards: Mapping[str, str] = field(default_factory=dict)


def read_households(path: Path, form: Form) -> Iterator[Read]:
    """The households of a file. Raises Invalid when the file as a whole is not of a form that is read."""
    mapped = {said: column_name(column) for said, column in form.columns.items()}
    names = set(likeliest_header(path, {*mapped.values(), *(name for usual in USUAL.values() for name in usual)}))
    columns = columns_in(names, USUAL, mapped)
    if lacking := [form.columns[said] for said in mapped if said not in columns]:
        raise Invalid(f"{path.name} has no column {', '.join(lacking)}; it has {', '.join(sorted(names))}.")
    if "household" not in columns:
        raise Invalid(
            f"{path.name} has no column with the household's id: {', '.join(USUAL['household'])}. "
            f"Name it, as in --map {EXAMPLE}.",
            file=path.name,
        )  # fmt: skip
    persons = bool(_PERSONS & columns.keys())
    known = Columns((columns["household"],), tuple(set(columns.values()) - {columns["household"]}), others=True)
    try:
        reading = _Reading(form, persons, _orders(path, known, columns, form.date_format))
    except Unreadable as error:
        raise Invalid(f"{path.name}: {error}.", file=path.name) from None
    if passed := sorted(names - set(columns.values()) - {""}):
        yield ForAPerson(1, "columns", "are not known, and nothing of them is kept", ", ".join(passed)[:160])
    for row in rows(path, known):
        if isinstance(row, Refused):
            yield row
        else:
            reading.take(Row(row.line, {said: row.cells[name] for said, name in columns.items()}))
    yield from reading.households()


def _orders(path: Path, known: Columns, columns: Mapping[str, str], date_format: str | None) -> dict[str, days.Order]:
    """In which order each column of dates is written, looked for in the whole of it. Raises Unreadable."""
    if date_format is not None:
        return dict.fromkeys(("born", "eligible_until"), days.order_of(date_format))
    orders = {}
    for said in ("born", "eligible_until"):
        if said in columns:
            cells = (row.cells[columns[said]] for row in rows(path, known) if isinstance(row, Row))
            texts = [cell for cell in cells if _DATE.fullmatch(cell)]
            try:
                orders[said] = days.column_order(texts) if texts else "ymd"
            except Unreadable:  # which repeats a date, and these are of births
                raise Unreadable(
                    f"the dates in its column {columns[said]} can be read in no way, or in several; say how they are "
                    "written with --date-format"
                ) from None
    return orders


class _Reading:
    """The rows of a file, gathered by household in the order in which each is met first.

    In a file of persons the household bears its own name, or else that of its first person.
    """

    def __init__(self, form: Form, persons: bool, orders: Mapping[str, days.Order]) -> None:
        self.form = form
        self.persons = persons
        self.orders = orders
        self.rows: dict[str, list[Row]] = {}
        self.cards = dict(form.cards)

    def take(self, row: Row) -> None:
        self.rows.setdefault(row.cells["household"], []).append(row)

    def households(self) -> Iterator[Read]:
        for household, found in self.rows.items():
            what = f"household {household[:60]}"
            asked: list[Read] = []
            try:
                data = self._household(household, found, asked, what)
            except _Held as held:
                yield Refused(held.line, str(held), what)
                continue
            yield Planned(found[0].line, "RegisterHousehold", data, command_id("household", household), what)
            yield from asked
            card = data.get("card")
            if card is not None and (other := self.cards.setdefault(card, household)) != household:
                reason = f"has the card of household {other} too; give one of them another with ChangeHousehold"
                yield ForAPerson(found[0].line, what, reason, card)

    def _household(self, household: str, found: list[Row], asked: list[Read], what: str) -> dict[str, Any]:
        first = found[0]
        if not is_id(household):
            raise _Held(
                first, f"the household '{household[:40]}' is not an id; use letters, digits, hyphens, at most 64, and "
                "no name"
            )  # fmt: skip
        said = self._agreed(found)
        if self.persons:
            members = self._listed(found, asked, what)
            counted = len(members)
        else:
            members, counted = self._counted(first, asked, what)
        data: dict[str, Any] = {"household": household} | {name: said[name] for name in _TEXTS if name in said}
        if name := said.get("household_name") or _name(first.cells):
            data["name"] = name
        if "card" in said:
            if not is_id(said["card"]):
                raise _Held(first, f"the card '{said['card'][:40]}' is not a code; use letters, digits, hyphens")
            data["card"] = said["card"]
        if contact := ", ".join(said[name] for name in ("contact", "phone", "email") if name in said):
            data["contact"] = contact
        if "eligible_until" in said:
            data["eligible_until"] = _at(
                first, lambda: days.read_day(said["eligible_until"], self.orders["eligible_until"]).isoformat()
            )
        size = _at(first, lambda: whole(said["size"])) if "size" in said else counted
        if not 1 <= size <= MAX_MEMBERS:
            missing = " (no size and no ages are given)" if "size" not in said and not counted else ""
            raise _Held(first, f"a household of {size}{missing}; 1 to {MAX_MEMBERS} live in one")
        if len(members) > size:
            raise _Held(first, f"its size is {size}, and {len(members)} are listed; count all who live there")
        return data | {"size": size, "members": members}

    def _agreed(self, found: list[Row]) -> dict[str, str]:
        """What is said of the household as a whole; rows may leave it out, and may not differ."""
        said: dict[str, str] = {}
        for row in found:
            for name in _OF_HOUSEHOLD:
                cell = row.cells.get(name, "")
                if cell and said.setdefault(name, cell) != cell:
                    raise _Held(row, f"its {name} is not that of a line above; nothing of it is taken")
            if not self.persons and row.cells != found[0].cells:
                raise _Held(row, f"is on line {found[0].line} already, with other facts; nothing of it is taken")
        return said

    def _counted(self, row: Row, asked: list[Read], what: str) -> tuple[list[dict[str, Any]], int]:
        """Members out of the numbers of children, adults and seniors, and how many these are.

        Whose diet and allergens a row of a whole household means is not said; they stand with the first member, or with
        one of unknown age where none is counted: how many live there is not known by that.
        """
        members: list[dict[str, Any]] = []
        for name, band in _COUNTED.items():
            if text := row.cells.get(name, ""):
                count = _at(row, lambda text=text: whole(text))
                if count > MAX_MEMBERS:
                    raise _Held(row, f"{count} {name}; 1 to {MAX_MEMBERS} live in a household")
                members += [{"member": f"m{len(members) + n}", "band": band} for n in range(1, count + 1)]
        counted = len(members)
        if kept := self._kept(row, asked, what):
            members = members or [{"member": "m1", "band": AgeBand.UNKNOWN}]
            members[0] |= kept
        return members, counted

    def _listed(self, found: list[Row], asked: list[Read], what: str) -> list[dict[str, Any]]:
        """Members out of the rows of persons; without ids of their own they are numbered as they stand."""
        members: list[dict[str, Any]] = []
        for number, row in enumerate(found, 1):
            id = row.cells.get("person") or f"m{number}"
            if not is_id(id):
                raise _Held(row, f"the person '{id[:40]}' is not an id; use letters, digits, hyphens, and no name")
            if any(one["member"] == id for one in members):
                raise _Held(row, f"its member {id} is listed twice")
            member = {"member": id, "band": _at(row, lambda row=row: self._band(row.cells))}
            name = _name(row.cells)
            members.append(member | ({"name": name} if name else {}) | self._kept(row, asked, what))
        return members

    def _band(self, cells: Mapping[str, str]) -> AgeBand:
        if text := cells.get("age"):
            return band_of_age(text)
        if text := cells.get("born"):
            return born_in(text, self.orders["born"], self.form.on)
        return band_of(cells.get("band", ""))

    @staticmethod
    def _kept(row: Row, asked: list[Read], what: str) -> dict[str, str]:
        labels, unknown = allergens_in(row.cells.get("allergens", ""))
        if unknown:
            reason = (
                "has an allergen that is none of the known words, so it warns of every item, as none says that it has "
                "none of it; write the known word in the file, if there is one"
            )
            asked.append(ForAPerson(row.line, what, reason, ", ".join(unknown)[:160]))
        kept = {"diet": row.cells.get("diet", ""), "allergens": ", ".join(labels)}
        return {name: text for name, text in kept.items() if text}


def _name(cells: Mapping[str, str]) -> str:
    return cells.get("name") or " ".join(filter(None, (cells.get("first_name"), cells.get("last_name"))))


class _Held(Exception):
    """A household of which a row cannot be taken is held back as a whole."""

    def __init__(self, row: Row, reason: str) -> None:
        super().__init__(reason)
        self.line = row.line


def _at(row: Row, read: Any) -> Any:
    """What a cell says; what cannot be read of it holds the household back, with the row's line."""
    try:
        return read()
    except Unreadable as error:
        raise _Held(row, str(error)) from None
