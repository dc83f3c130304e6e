"""Patient: who somebody is. https://hl7.org/fhir/R4/patient.html"""

from __future__ import annotations

import re
from typing import Any, Final

from services.clinic.contract import Contact, Demographics, Sex
from services.fhir.entry import Entry, NotShown, Resource
from services.fhir.identifiers import identifiers, read_identifiers
from services.fhir.reading import Node, member
from services.fhir.values import TERMINOLOGY, begun, coded, day, present, read_when, reference

TYPE: Final = "Patient"

_GUARDIAN: Final = (f"{TERMINOLOGY}/v3-RoleCode", "GUARD")
_GUARDIANS: Final = frozenset({"GUARD", "PRN", "MTH", "FTH", "GUARDIAN", "parent", "guardian", "N", "C"})
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
_PAST: Final = frozenset({"old", "maiden", "temp", "anonymous"})


def patient(entry: Entry) -> Resource:
    if not isinstance(entry.content, Demographics):
        raise NotShown("who it is")
    who: Demographics = entry.content
    contact = who.contact or Contact()
    into = entry.clear.get("merged_into")
    return begun(entry, TYPE) | present(
        identifier=identifiers(who.identifiers),
        active=False if into else None,
        name=[present(family=who.family, given=list(who.given))] if who.family or who.given else None,
        telecom=[
            {"system": system, "value": value}
            for system, value in (("phone", contact.phone), ("email", contact.email)) if value
        ],
        gender=who.sex.value,
        birthDate=day(who.born),
        deceasedDateTime=day(who.died),
        address=_address(contact),
        communication=[_language(contact.language)] if contact.language else None,
        contact=_guardian(contact),
        link=[{"other": reference(TYPE, into), "type": "replaced-by"}] if into else None,
    )  # fmt: skip


def _address(contact: Contact) -> list[Resource]:
    made = present(
        line=[contact.street] if contact.street else None, city=contact.city, state=contact.state,
        postalCode=contact.postal_code, country=contact.country,
    )  # fmt: skip
    return [made] if made else []


def _language(tag: str) -> Resource:
    return {"language": coded("urn:ietf:bcp:47", tag)}


def _guardian(contact: Contact) -> list[Resource]:
    if not contact.guardian and not contact.guardian_phone:
        return []
    telecom = [{"system": "phone", "value": contact.guardian_phone}] if contact.guardian_phone else []
    name = {"text": contact.guardian} if contact.guardian else None
    return [present(relationship=[coded(*_GUARDIAN)], name=name, telecom=telecom)]


# -- reading ----------------------------------------------------------------------------------------------------------


def read_patient(node: Node) -> Demographics:
    """Who it is. A date known in part is left out, and noted: a whole one would be made up."""
    if node.raw("active") is False:
        node.note("active", "is false: taken all the same")
    if "link" in node:
        node.note("link", "to another record of the same person is not followed: merge them here")
        node.skip("link")
    family, given = _name(node)
    return Demographics(
        family=family, given=given, born=_day(node, "birthDate"), died=_died(node),
        sex=member(Sex, node.string("gender")) or Sex.UNKNOWN, contact=_contact(node),
        identifiers=read_identifiers(node.nodes("identifier")),
    )  # fmt: skip


def _name(node: Node) -> tuple[str | None, tuple[str, ...]]:
    names = node.nodes("name")
    chosen = next((name for name in names if name._data.get("use") not in _PAST), names[0] if names else None)
    if chosen is None:
        return None, ()
    chosen.skip("use")
    family, given = chosen.text("family"), chosen.texts("given")
    if family is None and not given:
        family = chosen.text("text")
    else:
        chosen.skip("text")
    if len(given) > 5:
        chosen.note("given", "has more than five names: the first five are taken")
    return family, tuple(given[:5])


def _day(node: Node, name: str) -> Any:
    when = read_when(node, name)
    if when is None:
        return None
    if when.day is None:
        node.note(name, "is known in part, and left out: only a whole date can be kept")
    return when.day


def _died(node: Node) -> Any:
    if node.flag("deceasedBoolean"):
        node.note("deceasedBoolean", "says that somebody died, and not when: it cannot be kept")
    return _day(node, "deceasedDateTime")


def _contact(node: Node) -> Contact | None:
    telecom = {"phone": _telecom(node, "phone"), "email": _telecom(node, "email")}
    made = Contact(**telecom, **_place(node), language=_spoken(node), **_kin(node))
    return None if made == Contact() else made


def _telecom(node: Node, system: str) -> str | None:
    for each in node.nodes("telecom"):
        if each._data.get("system") == system and each._data.get("use") != "old" and (value := each.text("value")):
            each.skip("system", "use", "rank")
            return value
    return None


def _place(node: Node) -> dict[str, str | None]:
    for each in node.nodes("address"):
        if each._data.get("use") != "old":
            each.skip("use", "type", "text")
            street = ", ".join(each.texts("line"))
            return {
                "street": each.line("line", street) if street else None, "city": each.text("city"),
                "state": each.text("state"), "postal_code": each.text("postalCode"), "country": each.text("country"),
            }  # fmt: skip
    return {}


def _spoken(node: Node) -> str | None:
    spoken = sorted(node.nodes("communication"), key=lambda each: each._data.get("preferred") is not True)
    for each in spoken:
        language = each.node("language")
        for coding in language.nodes("coding") if language else ():
            code = coding._data.get("code")
            if language is not None and isinstance(code, str) and _LANGUAGE.fullmatch(code):
                each.skip("preferred")
                language.skip("text")
                coding.skip("system", "code", "display")
                return code
    return None


def _kin(node: Node) -> dict[str, str | None]:
    for each in node.nodes("contact"):
        codes = {
            coding.get("code") for relation in each._data.get("relationship") or ()
            for coding in relation.get("coding") or ()
        }  # fmt: skip
        if not codes & _GUARDIANS:
            continue
        each.skip("relationship", "gender", "period")
        name = each.node("name")
        shown = None
        if name is not None:
            name.skip("use", "prefix")
            parts = [*name.texts("given"), name.text("family")]
            shown = name.text("text") or " ".join(part for part in parts if part) or None
        return {"guardian": shown, "guardian_phone": _telecom(each, "phone")}
    return {}
