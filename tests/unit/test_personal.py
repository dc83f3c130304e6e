"""Personal fields are found where they are marked, also inside values, and a mark that cannot work is refused."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter

from services.reference.catalogue import page
from services.reference.schemas import command_schema, event_schema
from shared.contract import Contract, value
from shared.personal import SEALED_PATTERN, PersonalText, Sealed, SealedFields, sealed_fields
from shared.types import Id, Text
from tests.support.kiosk import KioskError


@value
class Line:
    amount: int
    payee: Annotated[PersonalText, Sealed(of="statement")]
    memo: Annotated[PersonalText | None, Sealed(of="statement")] = None


desk = Contract("desk")


@desk.event(category="statement")
class Imported:
    """A statement came in."""

    statement: Id
    member: Id
    name: Annotated[str, Sealed(of="member")]
    remark: Annotated[str, Sealed(of="member", remark=True)] | None = None
    lines: Annotated[tuple[Line, ...], Field(max_length=9)] = ()
    last: Line | None = None


@desk.command(category="statement", aggregate="statement", makes=(Imported,))
class Import:
    """Take in a statement."""

    statement: Id
    member: Id
    name: Text
    remark: Text | None = None
    lines: Annotated[tuple[Line, ...], Field(max_length=9)] = ()
    last: Line | None = None


desk.freeze()

WHOLE = Imported(
    statement="s-1", member="m-1", name="Ana", last=Line(amount=3, payee="Di"),
    lines=(Line(amount=1, payee="Bo", memo="rent"), Line(amount=2, payee="Cy")),
)  # fmt: skip


def _found(event: Any) -> SealedFields:
    fields = desk.sealed_of(event)
    assert fields is not None
    return fields


def test_every_personal_text_is_found_with_its_owner_and_its_path() -> None:
    seen: list[tuple[str, str, str]] = []

    def look(mark: Sealed, path: str, text: str) -> str:
        seen.append((mark.of, path, text))
        return text.upper()

    changed = _found(WHOLE).replace(WHOLE, look)
    assert seen == [
        ("member", "name", "Ana"), ("statement", "lines.0.payee", "Bo"), ("statement", "lines.0.memo", "rent"),
        ("statement", "lines.1.payee", "Cy"), ("statement", "last.payee", "Di"),
    ]  # fmt: skip
    assert (changed.name, changed.remark, changed.lines[0].payee, changed.last.payee) == ("ANA", None, "BO", "DI")
    assert WHOLE.name == "Ana", "the event that was given stays as it was"


def test_owners_are_read_off_the_event() -> None:
    assert desk.owners_of(WHOLE) == ("member/m-1", "statement/s-1")


def test_an_owner_may_be_named_by_a_field_of_another_name() -> None:
    mark = Sealed(of="member", kind="party")
    assert mark.owner(Import(statement="s-1", member="m-1", name="Ana")) == "party/m-1"


def test_an_event_without_personal_fields_has_none() -> None:
    assert sealed_fields(value(type("Plain", (), {"__annotations__": {"name": Text}}))) is None


def test_an_event_that_lacks_its_owner_is_refused() -> None:
    contract = Contract("desk")

    @contract.event(category="member")
    class Named:
        name: Annotated[str, Sealed(of="member")]

    with pytest.raises(TypeError, match=r"Named is sealed under the keys of fields that it lacks: \['member'\]"):
        contract.freeze()


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Annotated[Text, Sealed(of="id")], "use PersonalText"),
        (Annotated[int, Sealed(of="id")], "is not a text"),
        (Annotated[str, Sealed(of="id")] | int, "is not a text"),
        (dict[str, Line], "inside a mapping"),
    ],
)
def test_a_mark_that_cannot_work_is_refused(annotation: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        sealed_fields(value(type("Odd", (), {"__annotations__": {"field": annotation}})))


def test_schemas_say_what_is_typed_in_the_command_and_what_is_stored_in_the_event() -> None:
    event = event_schema(desk.events["Imported"])
    command = command_schema(desk, desk.commands["Import"])
    assert event["properties"]["name"]["pattern"] == SEALED_PATTERN
    assert event["properties"]["remark"]["anyOf"][0]["format"] == "sealed"
    assert event["$defs"]["Line"]["properties"]["payee"]["format"] == "sealed"
    assert event["$defs"]["Line"]["properties"]["memo"]["anyOf"] == [
        {"type": "string", "format": "sealed", "pattern": SEALED_PATTERN}, {"type": "null"},
    ]  # fmt: skip
    assert command["$defs"]["Line"]["properties"]["payee"]["maxLength"] == 200
    assert "format" not in command["properties"]["name"]
    remark = event["properties"]["remark"]["anyOf"][0]
    assert "pattern" not in remark and remark["description"].endswith("; in clear where member is null.")
    assert "| `name` | sealed |" in page([(desk, KioskError)])


def test_the_door_bounds_what_is_typed() -> None:
    line = TypeAdapter(Line)
    with pytest.raises(ValueError, match="payee"):
        line.validate_json(b'{"amount": 1, "payee": "' + b"x" * 201 + b'"}')
