"""Bulk requests: read as pydantic reads them, cut by their elements alone, and no name in them stands twice."""

from __future__ import annotations

import json
import random
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter

from shared.bulk import cut
from shared.contract import value
from shared.cutting import ENVELOPE_BYTES
from shared.errors import Invalid, TooLarge
from shared.event import MAX_EVENT_BYTES, Envelope
from shared.message import look_for_twice, members_once
from shared.quick import Quick
from shared.types import Date, Id, Moment, Note, Quantity, Text
from tests.support.journal import Line, Posting, PostLines, journal

SPEC = journal.commands["PostLines"]


def line(number: int, **fields: Any) -> Line:
    sides = tuple(Posting(account=account, amount=number + 1, unit="EUR") for account in ("bank-main", "income-dues"))
    return Line(id=f"line-{number:06}", amount=number + 1, **{"postings": sides, **fields})


def request(*lines: Line, book: str = "main", **more: Any) -> bytes:
    return msgspec.json.encode({"book": book, "lines": lines, **more})


def parts_of(data: bytes) -> list[PostLines]:
    return list(cut(SPEC, data))


# -- where it is cut ------------------------------------------------------------


def test_every_part_fits_an_event_whatever_becomes_of_its_lines() -> None:
    lines = [line(n, remark="é" * (n % 200) or None) for n in range(3000)]
    parts = parts_of(request(*lines))
    assert [one for part in parts for one in part.lines] == lines
    assert {part.parts for part in parts} == {len(parts)}
    for part in parts:
        outcomes = ("differs",) * len(part.lines)
        event = journal.events["LinesPosted"].cls(book="main", lines=part.lines, outcomes=outcomes, parts=len(parts))
        assert len(msgspec.json.encode(event)) <= MAX_EVENT_BYTES - ENVELOPE_BYTES
    assert min(len(msgspec.json.encode(part.lines)) for part in parts[:-1]) > 45_000  # and none is half empty


def test_the_longest_envelope_leaves_room_for_a_part() -> None:
    letter = "\U0001f342"
    longest = Envelope(
        specversion="1.0", id="x" * 36, source="/commons/" + "x" * 100, type="x" * 150, subject="x" * 150,
        time="x" * 27, dataschema="x" * 200, datacontenttype="application/json", revision=2**53 - 1, prevhash="0" * 64,
        correlationid=letter * 128, causationid=letter * 128, authtype="process", authid=letter * 128,
        mandate=letter * 256, data=msgspec.Raw(b"{}"),
    )  # fmt: skip
    assert len(msgspec.json.encode(longest)) < ENVELOPE_BYTES


def test_it_is_cut_the_same_however_it_is_written() -> None:
    lines = [line(n) for n in range(1500)]
    plain = request(*lines)
    found = parts_of(plain)
    loose = json.loads(plain)
    assert parts_of(json.dumps(loose, indent=3).encode()) == found
    for one in loose["lines"]:
        del one["linked"], one["remark"]
        for side in one["postings"]:
            del side["fund"]
        members = list(one.items())
        random.shuffle(members)
        one.clear()
        one.update(members)
    assert parts_of(json.dumps(loose).encode()) == found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 120), min_size=1, max_size=40))
def test_no_chain_is_cut_through(chains: list[int]) -> None:
    lines: list[Line] = []
    for length in chains:
        for index in range(length):
            lines.append(line(len(lines), linked=index < length - 1))
    parts = parts_of(request(*lines))
    assert [one for part in parts for one in part.lines] == lines
    assert not any(part.lines[-1].linked for part in parts)


def test_a_chain_that_is_too_long_is_refused_by_its_first_line() -> None:
    lines = [line(0), *(line(n, linked=n < 400) for n in range(1, 401))]
    with pytest.raises(TooLarge, match=r"begins with lines\.1 \(line-000001\)") as refusal:
        parts_of(request(*lines))
    assert refusal.value.facts["field"] == "lines.1"


def test_a_request_that_ends_inside_a_chain_is_refused() -> None:
    with pytest.raises(Invalid, match=r"ends inside a chain.*lines\.2 \(line-000002\)"):
        parts_of(request(line(0), line(1, linked=True), line(2, linked=True)))


def test_a_request_holds_8_189_lines() -> None:
    lines = [Line(id=f"l{n}", amount=1) for n in range(8190)]
    assert sum(len(part.lines) for part in parts_of(request(*lines[:-1]))) == 8189
    with pytest.raises(Invalid, match="8,189"):
        parts_of(request(*lines))
    with pytest.raises(Invalid, match="lines"):
        parts_of(request())


# -- what is refused ------------------------------------------------------------

GOOD = b'{"book":"main","lines":[{"id":"a","amount":1,"postings":[{"account":"x","amount":1,"unit":"EUR"}]}]}'

TWICE = {
    "a name of the request": GOOD.replace(b'"book":"main"', b'"book":"main","book":"main"'),
    "with white space": GOOD.replace(b'"book":"main"', b'"book" : "main", "book"\n:"other"'),
    "a name of a line": GOOD.replace(b'"amount":1,"postings"', b'"amount":1,"amount":2,"postings"'),
    "the same value": GOOD.replace(b'"id":"a"', b'"id":"a","id":"a"'),
    "spelled otherwise": GOOD.replace(b'"id":"a"', b'"id":"a","\\u0069d":"b"'),
    "a name of a posting": GOOD.replace(b'"unit":"EUR"', b'"unit":"EUR","unit":"USD"'),
    "with a default": GOOD.replace(b'"unit":"EUR"', b'"unit":"EUR","fund":"general","fund":"other"'),
    "the lines": GOOD[:-1] + b',"lines":[{"id":"b","amount":1}]}',
}  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_no_name_stands_twice(name: str) -> None:
    assert parts_of(GOOD)
    with pytest.raises(Invalid, match="twice"):
        parts_of(TWICE[name])


WRONG = {
    "an id": (b'"id":"a"', b'"id":"a b"', "lines.0.id: an id is"),
    "an empty id": (b'"id":"a"', b'"id":""', "lines.0.id"),
    "an id with a line break": (b'"id":"a"', b'"id":"a\\n"', "lines.0.id"),
    "an account": (b'"account":"x"', b'"account":"x.y"', "lines.0.postings.0.account: an id is"),
    "an amount": (b'"amount":1,"unit"', b'"amount":0,"unit"', "lines.0.postings.0.amount"),
    "an amount that is too much": (b'"amount":1,"unit"', b'"amount":9007199254740992,"unit"', "postings.0.amount"),
    "a fraction": (b'"amount":1,"unit"', b'"amount":1.0,"unit"', "postings.0.amount"),
    "a text for a number": (b'"amount":1,"unit"', b'"amount":"1","unit"', "postings.0.amount"),
    "a name that there is not": (b'"unit":"EUR"', b'"unit":"EUR","x":1', "postings.0.x: there is no such field"),
    "a remark": (b'"id":"a"', b'"id":"a","remark":" "', "lines.0.remark: a text has no control"),
    "a remark with a bell": (b'"id":"a"', b'"id":"a","remark":"x\\u0007"', "lines.0.remark: a text has no control"),
    "no id": (b'"id":"a",', b"", "lines.0.id: is required"),
    "a book": (b'"book":"main"', b'"book":"ma in"', "book: an id is"),
    "no book": (b'"book":"main",', b"", "book: is required"),
    "a field more": (b'"book":"main"', b'"book":"main","page":1', "page: there is no such field"),
    "the parts": (b'"book":"main"', b'"book":"main","parts":1', "parts: there is no such field"),
    "no list": (b'"lines":[', b'"lines":7,"x":[', "lines"),
    "not JSON": (b"]}]}", b"]}]", "not valid"),
    "not UTF-8": (b'"id":"a"', b'"id":"\xff"', "not valid"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_the_same_words_as_ever(name: str) -> None:
    given_, put, said = WRONG[name]
    assert given_ in GOOD
    with pytest.raises(Invalid) as refusal:
        parts_of(GOOD.replace(given_, put, 1))
    assert said in refusal.value.detail


# -- the same as pydantic ------------------------------------------------------------


@value
class Everything:
    """A field of each type that contracts are written in."""

    id: Id
    text: Text | None = None
    note: Note | None = None
    day: Date | None = None
    moment: Moment | None = None
    some: Annotated[tuple[Quantity, ...], Field(max_length=2)] = ()
    names: tuple[Id, ...] = ()


Many = Annotated[tuple[Everything, ...], Field(min_length=1, max_length=3)]
quick = Quick(Many)
adapter: TypeAdapter[Any] = TypeAdapter(Many)

odd = st.sampled_from(
    ["", "a", "a\n", " ", "\x85", "\u00a0", "x\x00", "x\x9f", "é", "🍂", "a" * 64, "a" * 65, "a" * 201, "-a", "a-",
     "a\tb", "1899-12-31", "1900-01-01", "2199-12-31", "2200-01-01", "2026-2-1", "20261120", "2026-11-20T09:30:00Z",
     "2026-11-20T09:30:00", "2026-11-20T09:30:00+02:00", "1900-06-01T00:00:00Z", "1901-06-01T00:00:00Z",
     "2198-06-01T00:00:00Z", "2199-06-01T00:00:00Z", "2026-11-20 09:30:00Z", "2026-11-20T09:30:00.1234567Z"]
) | st.integers(-1, 3) | st.none() | st.booleans() | st.floats(allow_nan=False) | st.just(2**53)  # fmt: skip
elements = st.fixed_dictionaries(
    {"id": odd},
    optional={
        "text": odd, "note": odd, "day": odd, "moment": odd, "x": odd, "some": odd | st.lists(odd, max_size=3),
        "names": odd | st.lists(odd, max_size=3),
    },
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(elements, max_size=4) | odd)
def test_what_is_read_quickly_is_what_pydantic_reads(data: Any) -> None:
    raw = json.dumps(data, ensure_ascii=False).encode()
    found = quick.read(raw)
    if found is not None:
        assert found[0] == adapter.validate_json(raw)
        assert msgspec.json.decode(found[1], type=Many) == found[0]


def test_what_is_right_is_read_quickly() -> None:
    """Else all would be as slow as ever, and no test would tell."""
    everything = Everything(
        id="a", text="é", note="a\nb", day=date(2026, 1, 31), moment=datetime.fromisoformat("2026-11-20T09:30:00.25Z"),
        some=(1, 2), names=("a", "b"),
    )  # fmt: skip
    for raw in (msgspec.json.encode([everything]), json.dumps([{"id": "b"}], indent=1).encode()):
        found = quick.read(raw)
        assert found is not None and found[0] == adapter.validate_json(raw)
    assert quick.read(msgspec.json.encode([everything] * 4)) is None
    finer = b'[{"id":"a","moment":"2026-11-20T09:30:00.1234567Z"}]'
    assert quick.read(finer) is None and adapter.validate_json(finer)


def test_a_type_that_cannot_be_checked_quickly_is_refused_when_it_is_declared() -> None:
    for annotation in (float, dict[str, int], Annotated[str, object()], tuple[int, str]):
        with pytest.raises(TypeError):
            Quick(annotation)


# -- members that stand twice ------------------------------------------------------------

json_texts = st.recursive(
    st.sampled_from(["1", "null", '"a"', '" a "', '"a\\"b"', '"\\\\"', "-0", "1e5"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda v: "[" + ", ".join(v) + "]")
        | st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '"a "', '"\\u0061"', '" :"']), inner), max_size=3).map(
            lambda v: "{" + " ,".join(f"{name} :{value}" for name, value in v) + "}"
        )
    ),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '"a "', '"\\u0062"']), json_texts), max_size=4))
def test_of_an_object_each_member_is_looked_at(members: list[tuple[str, str]]) -> None:
    raw = ("{" + ", ".join(f"{name}: {value}" for name, value in members) + "}").encode()
    names = [json.loads(name) for name, _ in members]
    if len(set(names)) < len(names):
        with pytest.raises(ValueError, match="twice"):
            members_once(raw)
    else:
        try:
            look_for_twice(raw)
        except ValueError:
            return  # inside of a member, which is not looked at
        assert sorted(members_once(raw)) == sorted(names)
