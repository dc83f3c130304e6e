"""A value in a personal field is written as JSON and comes back as it was, and no error says what it is."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from services.commands.contracts import fields_of_command
from services.commands.fill import assign, put_flags
from services.commands.flags import line_flags
from services.reference.asyncapi import document
from services.reference.catalogue import page
from services.reference.schemas import command_schema, event_schema
from shared.contract import Contract, value
from shared.decider import Context
from shared.errors import Corrupt, Invalid, LedgerError, TooLarge
from shared.event import decode_envelope, event_id
from shared.heldvalue import read, written
from shared.personal import SEALED_PATTERN, PersonalText, PersonalValue, Sealed, sealed_fields
from shared.quick import Quick
from shared.sealing import seal
from shared.types import Id, Text
from tests.support.golden import held_of, lines_of
from tests.support.sentences import World, erase, opened, sealed
from tests.support.ward import (
    Allergy,
    AllergyRecorded,
    Bed,
    Reaction,
    Reading,
    RecordAllergy,
    Severity,
    TakeVitals,
    VitalsTaken,
    WardError,
    patients,
    ward,
)  # fmt: skip

MARK = Sealed(of="patient", holds=Allergy)
NUTS = Allergy(
    substance="Haselnüsse", since=date(2020, 2, 29), reactions=(Reaction(sign="hives", severity=Severity.MILD),)
)
READING = Reading(code="temperature", reading=371, at=datetime(2026, 11, 20, 9, 30, tzinfo=UTC))
JSON = '{"substance":"Haselnüsse","since":"2020-02-29","reactions":[{"sign":"hives","severity":"mild"}]}'


def test_it_is_written_in_the_order_of_its_class_with_every_field() -> None:
    assert written(MARK, "content", NUTS) == JSON
    assert written(MARK, "content", Allergy(substance="x")) == '{"substance":"x","since":null,"reactions":[]}'
    assert read(JSON, Allergy) == NUTS


YEARS = (datetime(1901, 1, 1), datetime(2198, 1, 1))  # noqa: DTZ001 - Hypothesis adds the zone
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200)
readings = st.builds(
    Reading, code=texts, reading=st.integers(-(2**53) + 1, 2**53 - 1),
    at=st.datetimes(*YEARS, timezones=st.just(UTC)),
)  # fmt: skip


@given(st.lists(readings, max_size=5).map(tuple))
def test_whatever_is_written_comes_back(held: tuple[Reading, ...]) -> None:
    mark = Sealed(of="patient", holds=tuple[Reading, ...])
    assert read(written(mark, "readings", held), tuple[Reading, ...]) == held


@pytest.mark.parametrize("wrong", [JSON, READING, (NUTS,), None, {"substance": "x"}, object(), Allergy(substance=7)])  # type: ignore[arg-type]
def test_a_decision_that_gives_something_else_is_refused_and_not_quoted(wrong: Any) -> None:
    with pytest.raises(LedgerError, match="something else in content than the value Allergy") as refused:
        written(MARK, "content", wrong)
    assert "Haselnüsse" not in str(refused.value) and refused.value.__cause__ is None


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "Haselnüsse", '{"substance":7}', JSON.replace('"mild"', '"Haselnüsse"'), JSON[:-1]]
)
def test_what_is_not_such_a_value_is_corrupt_and_not_quoted(text: str) -> None:
    with pytest.raises(Corrupt, match="What was sealed as the value Allergy cannot be read as that") as refused:
        read(text, Allergy)
    assert "Haselnüsse" not in str(refused.value) and refused.value.__cause__ is None


def test_a_value_of_before_has_what_came_since_by_default() -> None:
    assert read('{"substance":"x"}', Allergy) == Allergy(substance="x")


def test_a_decision_opens_it_as_a_value() -> None:
    context = Context(datetime(2026, 11, 20, tzinfo=UTC), unseal={"a": JSON, "b": None, "c": "Ana"}.__getitem__)
    assert context.unseal_as("a", Allergy) == NUTS
    assert context.unseal_as("b", Allergy) is None
    with pytest.raises(Corrupt):
        context.unseal_as("c", Allergy)
    with pytest.raises(Corrupt, match="a list of Reading"):
        context.unseal_as("a", tuple[Reading, ...])


# -- marks ------------------------------------------------------------------------------------------------------------


@value
class Named:
    name: Annotated[PersonalText, Sealed(of="id")]


@value
class Nested:
    named: tuple[Named, ...]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Annotated[str, Sealed(of="id", holds=dict)], "which is no value of a contract"),
        (Annotated[str, Sealed(of="id", holds=str)], "which is no value of a contract"),
        (Annotated[str, Sealed(of="id", holds=tuple[Allergy, Allergy])], "which is no value of a contract"),
        (Annotated[str, Sealed(of="id", holds=tuple[Text, ...])], "which is no value of a contract"),
        (Annotated[str, Sealed(of="id", holds=World)], "which is no value of a contract"),
        (Annotated[str, Sealed(of="id", holds=NUTS)], "which is no value of a contract"),
        (Annotated[str, Sealed(of="id", holds=Named)], "Named, which has personal fields of its own"),
        (Annotated[str, Sealed(of="id", holds=tuple[Nested, ...])], "Nested, which has personal fields of its own"),
        (Annotated[Allergy, Sealed(of="id", holds=Allergy)], "is not a text"),
        (Annotated[PersonalText, Sealed(of="id", holds=Allergy)], "bounds a text, and holds Allergy"),
        (Annotated[Text, Sealed(of="id", holds=Allergy)], "use PersonalText"),
    ],
)
def test_a_mark_that_cannot_work_is_refused(annotation: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        sealed_fields(value(type("Odd", (), {"__annotations__": {"field": annotation}})))


def test_a_plain_text_may_be_declared_as_one_and_a_tuple_of_values_as_well() -> None:
    for annotation in (
        Annotated[str, Sealed(of="id", holds=Allergy)],
        Annotated[str | None, Sealed(of="id", holds=tuple[Reading, ...])],
        Annotated[PersonalValue, Sealed(of="id", holds=Allergy)] | None,
    ):
        assert sealed_fields(value(type("Right", (), {"__annotations__": {"field": annotation}}))) is not None


@pytest.mark.parametrize("field", [Text, Reading, tuple[Allergy, ...], Annotated[Text, Field(max_length=9)] | None])
def test_a_command_that_has_another_type_than_is_sealed_is_refused(field: Any) -> None:
    contract = Contract("ward")
    event = contract.event(category="patient")(
        type("Said", (), {"__annotations__": {"patient": Id, "content": Annotated[str, MARK]}})
    )
    contract.command(category="patient", aggregate="patient", makes=(event,))(
        type("Say", (), {"__annotations__": {"patient": Id, "content": field}})
    )
    with pytest.raises(TypeError, match=r"Say.content is not of the type that Said.content seals"):
        contract.freeze()


def test_an_owner_of_a_text_and_of_values_is_one() -> None:
    assert ward.owners_of(AllergyRecorded(patient="p-1", allergy="a", content=NUTS)) == ("patient/p-1",)


# -- what consumers and senders are told ------------------------------------------------------------------------------


def test_schemas_say_that_a_text_is_stored_and_what_is_in_it() -> None:
    allergy = event_schema(ward.events["AllergyRecorded"])
    assert allergy["properties"]["content"] == {
        "type": "string", "format": "sealed", "pattern": SEALED_PATTERN, "contentMediaType": "application/json",
        "contentSchema": {"$ref": "#/$defs/Allergy"},
        "description": "Personal: encrypted under the key of patient/<id>.",
    }  # fmt: skip
    assert allergy["$defs"]["Allergy"]["properties"]["reactions"]["items"] == {"$ref": "#/$defs/Reaction"}
    vitals = event_schema(ward.events["VitalsTaken"])
    assert vitals["properties"]["readings"]["contentSchema"]["items"] == {"$ref": "#/$defs/Reading"}
    for made in (vitals["properties"]["first"], vitals["$defs"]["Bed"]["properties"]["stay"]):
        assert made["anyOf"][0]["contentSchema"]["$ref"] in ("#/$defs/Reading", "#/$defs/Reaction")
        assert made["anyOf"][1] == {"type": "null"}
    command = command_schema(ward, ward.commands["TakeVitals"])
    assert command["$defs"]["Bed"]["properties"]["stay"]["anyOf"] == [{"$ref": "#/$defs/Reaction"}, {"type": "null"}]


def test_the_catalogue_and_the_asyncapi_name_the_value() -> None:
    written = page([(ward, WardError)])
    assert "| `content` | sealed (Allergy) |" in written
    assert "| `readings` | sealed (list of Reading) |" in written
    assert "| `first` | sealed (Reading) or null |" in written
    assert "#### Allergy\n" in written
    schemas = document(ward, WardError, "1")["components"]["schemas"]
    assert schemas["AllergyRecorded"]["properties"]["content"]["contentSchema"] == {
        "$ref": "#/components/schemas/Allergy"
    }
    assert {"Allergy", "AllergyIn", "Reaction"} <= schemas.keys()


def test_the_door_takes_the_value_also_inside_a_value_that_events_share() -> None:
    command = TakeVitals(
        patient="p-1", readings=(READING,), beds=(Bed(bed="b-1", stay=Reaction(sign="x", severity=Severity.MILD)),)
    )
    assert ward.parse("TakeVitals", msgspec.json.encode(command)) == command
    with pytest.raises(Invalid, match=r"beds\.0\.stay"):
        ward.parse("TakeVitals", {"patient": "p-1", "readings": [], "beds": [{"bed": "b-1", "stay": "a text"}]})


def test_what_reads_many_values_quickly_takes_no_text_for_one() -> None:
    quick = Quick(tuple[Bed, ...])
    assert quick.read(b'[{"bed":"b-1","stay":"a text"}]') is None
    assert quick.read(b'[{"bed":"b-1","stay":{"sign":"x","severity":"mild"}}]') is None, "pydantic reads it"
    assert quick.read(b'[{"bed":"b-1"}]') is not None


def test_a_value_is_given_on_the_command_line_as_a_record() -> None:
    spec = ward.commands["RecordAllergy"]
    fields = fields_of_command(spec)
    whole: dict[str, Any] = {}
    assign(whole, ["patient=p-1", "allergy=a-1", f"content={JSON}"], fields)
    one_by_one: dict[str, Any] = {}
    assign(one_by_one, ["content.substance=Haselnüsse", "content.since=2020-02-29"], fields)
    by_flags: dict[str, Any] = {"patient": "p-1", "allergy": "a-1"}
    put_flags(by_flags, {"substance": "Haselnüsse", "since": "2020-02-29"}, fields, line_flags(fields))
    assert ward.parse(spec.name, whole).content == NUTS
    assert one_by_one["content"] == by_flags["content"] == {"substance": "Haselnüsse", "since": "2020-02-29"}


# -- support of tests -------------------------------------------------------------------------------------------------


def test_sentences_seal_a_value_as_the_kernel_does_and_open_it_for_decisions() -> None:
    event = sealed(ward, AllergyRecorded(patient="p-1", allergy="a", content=NUTS, remark="Ana"))
    assert opened(event.content) == JSON and opened(event.remark) == "Ana"
    assert "Haseln" not in repr(event)
    world = World({"patient": patients}, {"patient": lambda event: event.patient})
    first = RecordAllergy(patient="p-2", allergy="a", content=NUTS)
    world = world.after(world.decide(first, datetime.now(UTC), "sam", None))
    with pytest.raises(LedgerError, match="known already"):
        world.decide(RecordAllergy(patient="p-2", allergy="b", content=NUTS), datetime.now(UTC), "sam", None)
    erase("patient/p-2")
    world.decide(RecordAllergy(patient="p-2", allergy="b", content=NUTS), datetime.now(UTC), "sam", None)


def test_golden_bytes_keep_what_is_inside_and_it_must_stay_readable() -> None:
    full, least = (
        ward.decode(spec.type, envelope.data, envelope.subject)
        for spec in [ward.events["VitalsTaken"]]
        for envelope in map(decode_envelope, lines_of(ward, spec))
    )
    assert isinstance(full, VitalsTaken)
    held = held_of(full, ward)
    assert [type(one) for one in held] == [tuple, Reading, Reaction, Reaction] and len(held[0]) == 2
    assert held_of(least, ward) == [()]
    for changed, error in (({"code": "x"}, Corrupt), (msgspec.to_builtins(READING) | {"unit": "F"}, AssertionError)):
        box = base64.urlsafe_b64encode(msgspec.json.encode(changed)).rstrip(b"=").decode()
        first = full.first.rpartition(":")[0] + ":" + box
        with pytest.raises(error):
            held_of(VitalsTaken(patient="p", readings=full.readings, first=first), ward)


def test_a_value_that_is_too_large_is_refused_by_the_bytes_of_its_json() -> None:
    signs = tuple(Reaction(sign="x" * 2000, severity=Severity.MILD) for _ in range(9))
    text = written(MARK, "content", Allergy(substance="x", reactions=signs))
    with pytest.raises(TooLarge, match=f"The field content is {len(text):,} bytes"):
        seal(AESGCM(bytes(32)), 1, "patient/p-1", event_id("x", "1"), "content", text)
