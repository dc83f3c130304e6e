"""An event's schema moves on: old bytes are read as the newest class, or the contract does not load."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.contract import Contract, value
from shared.errors import Corrupt
from shared.event import FIRST_PREVHASH, Envelope, Recorded, decode, encode
from shared.types import Id, Quantity, Text

V1 = b'{"jar":"a","coins":3}'
V2 = b'{"jar":"a","quantity":3,"unit":"each"}'
V3 = b'{"jar":"a","quantity":3,"unit":"each","note":null}'


@value
class Line:
    coins: Quantity


def contract(*, without: int | None = None) -> tuple[Contract, type]:
    """Coins became a quantity with a unit in version 2, and got a note in version 3."""
    till = Contract("till")

    @till.event(category="jar", version=3)
    class CoinsMoved:
        jar: Id
        quantity: Quantity
        unit: Text
        note: Text | None = None

    steps: dict[int, Any] = {
        1: lambda old: {"jar": old["jar"], "quantity": old.pop("coins"), "unit": "each"},
        2: lambda old: {**old, "note": None},
    }
    for version, step in steps.items():
        if version != without:
            till.upcast(CoinsMoved, from_version=version)(step)
    return till, CoinsMoved


def recorded(till: Contract, version: int, data: bytes) -> Recorded:
    raw = encode(
        Envelope(
            specversion="1.0", id="x", source="/x", type=f"commons.till.coins-moved.v{version}", subject="jar/a",
            time="2026-11-20T09:00:00.000000Z", dataschema="x", datacontenttype="application/json", revision=1,
            prevhash=FIRST_PREVHASH, correlationid="c", causationid="c", authtype="user", authid="sam",
            data=msgspec.Raw(data),
        )
    )  # fmt: skip
    return decode(raw, contract=till)


@pytest.mark.parametrize(("version", "data"), [(1, V1), (2, V2), (3, V3)])
def test_every_version_is_read_as_the_newest(version: int, data: bytes) -> None:
    till, cls = contract()
    till.freeze()
    event = recorded(till, version, data)
    assert event.data == cls(jar="a", quantity=3, unit="each", note=None)
    assert event.raw.endswith(data + b"}"), "the stored bytes are what they were"


@pytest.mark.parametrize("without", [1, 2])
def test_a_missing_upcaster_fails_when_the_contract_is_loaded(without: int) -> None:
    till, _ = contract(without=without)
    with pytest.raises(TypeError, match=f"CoinsMoved is at version 3 but has no upcaster from {without}"):
        till.freeze()


def test_a_version_that_is_newer_than_the_software_is_not_guessed() -> None:
    till, _ = contract()
    till.freeze()
    with pytest.raises(Corrupt, match="older than the event"):
        _ = recorded(till, 4, V3).data


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b"null",
        b"7",
        b'"x"',
        b'{"jar":"a"}',
        b'{"jar":"a","coins":"3"}',
        b'{"jar":"a","coins":0}',
        b'{"jar":',
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_data_that_does_not_fit_is_corrupt(version: int, data: bytes) -> None:
    till, _ = contract()
    till.freeze()
    with pytest.raises(Corrupt, match="coins-moved"):
        till.decode(f"commons.till.coins-moved.v{version}", data, "jar/a")


@pytest.mark.parametrize("wrong", [KeyError("x"), AttributeError("x"), IndexError("x"), ZeroDivisionError("x")])
def test_an_upcaster_that_breaks_is_corrupt_and_names_the_event(wrong: Exception) -> None:
    till = Contract("till")

    @till.event(category="jar", version=2)
    class Moved:
        jar: Id

    @till.upcast(Moved, from_version=1)
    def broken(old: dict[str, Any]) -> dict[str, Any]:
        raise wrong

    till.freeze()
    with pytest.raises(Corrupt, match=r"commons\.till\.moved\.v1"):
        till.decode("commons.till.moved.v1", b"{}", "jar/a")


def test_a_command_whose_field_does_not_come_back_fails_when_the_contract_is_loaded() -> None:
    till = Contract("till")

    @till.event(category="jar")
    class Moved:
        jar: Id

    @till.command(category="jar", aggregate="jar", makes=(Moved,))
    class Move:
        jar: Id
        coins: Quantity

    with pytest.raises(TypeError, match=r"Move has fields that Moved lacks: .*coins"):
        till.freeze()


def test_a_value_inside_an_event_is_strict_too() -> None:
    till = Contract("till")

    @till.event(category="jar")
    class Moved:
        lines: tuple[Line, ...]

    till.freeze()
    assert till.decode("commons.till.moved.v1", b'{"lines":[{"coins":1}]}', "jar/a").lines == (Line(coins=1),)
    with pytest.raises(Corrupt):
        till.decode("commons.till.moved.v1", b'{"lines":[{"coins":1.5}]}', "jar/a")


def test_two_commands_that_make_one_event_find_its_aggregate_alike() -> None:
    till = Contract("till")

    @till.event(category="jar")
    class Moved:
        jar: Id
        other: Id

    @till.command(category="jar", aggregate="jar", makes=(Moved,))
    class Move:
        jar: Id
        other: Id

    @till.command(category="jar", aggregate="other", makes=(Moved,))
    class MoveBack:
        jar: Id
        other: Id

    with pytest.raises(TypeError, match="MoveBack makes Moved of another aggregate"):
        till.freeze()


@pytest.mark.parametrize("name", ["jar/b", "lid/a", "jar/", "jar"])
def test_an_event_is_of_the_aggregate_on_which_it_stands(name: str) -> None:
    till = Contract("till")

    @till.event(category="jar", version=2)
    class Moved:
        jar: Id

    @till.upcast(Moved, from_version=1)
    def renamed(old: dict[str, Any]) -> dict[str, Any]:
        return {"jar": old["pot"]}

    @till.command(category="jar", aggregate="jar", makes=(Moved,))
    class Move:
        jar: Id

    till.freeze()
    for version, data in ((1, b'{"pot":"a"}'), (2, b'{"jar":"a"}')):
        assert till.decode(f"commons.till.moved.v{version}", data, "jar/a").jar == "a"
        with pytest.raises(Corrupt, match="and its data is of 'jar/a'"):
            till.decode(f"commons.till.moved.v{version}", data, name)
