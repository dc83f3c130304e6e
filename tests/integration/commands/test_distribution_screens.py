"""The screens of distribution on a whole ledger, from a household's card to a recall that finds its box."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from tests.integration.commands.conftest import Commons, running
from tests.support.leaks import leaks

NAMES = ("Zübeyde Yıldırım-Çelik", "Anđela Quarternbridge", "Þórunn Öztürk")
"""Of a household, a member of it, and who may collect for it: words that stand nowhere else."""


def send(commons: Commons, command: str, /, **fields: Any) -> Any:
    """Send a command to distribution that must be taken."""
    done = commons("send", "distribution", command, "--file", "-", "--json", stdin=json.dumps(fields).encode())
    assert done.code == 0, done
    return done.json


def show(commons: Commons, *arguments: str) -> list[dict[str, Any]]:
    done = commons("show", *arguments, "--json")
    assert done.code == 0, done
    return list(done.json["rows"])


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Ask again until what must come has come."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


def one(commons: Commons, *arguments: str) -> dict[str, Any]:
    """The only row of an answer."""
    (row,) = show(commons, *arguments)
    return row


def test_an_order_is_seen_from_the_card_to_the_recall_that_finds_its_box(commons: Commons) -> None:
    commons.send("RegisterItem", "--item", "chickpeas", "--name", "Chickpeas", "--unit", "each", "--net-weight", "400")
    commons.send(
        "ReceiveStock", "--item", "chickpeas", "--location", "main", "--source", "donation", "--lot", "CP-7",
        "--quantity", "50",
    )  # fmt: skip
    now = datetime.now(UTC)
    send(commons, "OpenProgramme", programme="screens", name="Weekly box", kind="box")
    send(commons, "SetBundle", programme="screens", lines=[{"item": "chickpeas", "quantity": 2}])
    send(commons, "SetLimit", programme="screens", times=1, every="week")
    send(
        commons, "ScheduleSession", session="s1", programme="screens", site="main", name="Morning",
        starts_at=now.isoformat(), ends_at=(now + timedelta(hours=3)).isoformat(),
    )  # fmt: skip
    send(commons, "OpenSession", session="s1")
    for household, card in (("fam-1", "9001"), ("fam-2", "9002")):
        member = {"member": "m1", "band": "adult", "allergens": "peanuts"}
        send(
            commons, "RegisterHousehold", household=household, card=card, name=f"Family {card}", size=3,
            address="1 High Street", members=[member],
        )  # fmt: skip

    def placed() -> bool:  # the catalogue comes from inventory by itself
        order = {"order": "or-1", "household": "fam-1", "session": "s1", "seen_warnings": True}
        return commons("send", "distribution", "PlaceOrder", "--file", "-", stdin=json.dumps(order).encode()).code == 0

    until(placed)
    assert until(lambda: [row for row in show(commons, "orders", "or-1") if row["waits"] == "to be confirmed"])
    send(commons, "ConfirmOrder", order="or-1")
    until(lambda: one(commons, "orders", "or-1")["waits"] == "to be packed")

    row = one(commons, "check-in", "9001")
    assert (row["household"], row["name"], row["due"], row["state"]) == ("fam-1", "Family 9001", True, "to pack")
    assert (row["used"], row["allowed"], row["avoids"]) == (1, 1, ["peanuts"])
    assert "chickpeas" in row["warnings"]
    assert "goods_warnings" not in row
    row = one(commons, "packing", "s1")
    assert (row["item"], row["lot"], row["quantity"], row["short"]) == ("chickpeas", "CP-7", 2, None)
    assert row["warning"] == "allergens unknown"
    assert one(commons, "route", "s1")["address"] == "1 High Street"

    send(commons, "PackBox", box="bx-1", order="or-1", seen_warnings=True)
    until(lambda: [row for row in show(commons, "queue", "s1") if row["state"] == "packed"])
    answer = send(commons, "HandOutBox", box="bx-1")
    at_least = ("--at-least", str(answer["sequence"]))
    until(lambda: not show(commons, "orders"))
    row = one(commons, "check-in", "9001", *at_least)
    assert (row["due"], row["state"]) == (False, "handed out")
    assert "served 1 of 1 times" in row["warnings"]
    assert one(commons, "check-in", "9002")["due"] is True
    assert show(commons, "queue", "s1") == []

    visit = {"visit": "vi-1", "household": "fam-2", "programme": "screens", "session": "s1", "seen_warnings": True}
    send(commons, "RecordVisit", **visit, period=row["period"])
    twice = visit | {"visit": "vi-2", "fact": True, "people": {"adult": 1}}
    send(commons, "RecordVisit", **twice, period=row["period"])
    until(lambda: one(commons, "session", "s1")["people"] == 7)
    row = next(row for row in show(commons, "served") if row["programme"] == "screens")
    assert (row["households"], row["new"], row["times"], row["individuals"]) == (2, 2, 3, 4)
    assert row["weight"] == 6 * 400
    items = commons("show", "review", "--json").json["distribution"]["rows"]
    assert [(item["kind"], item["household"]) for item in items] == [("limit_reached", "fam-2")]
    assert items[0]["todo"].endswith("or send ResolveVisit.")
    seen = {name: twice[name] for name in ("visit", "household", "programme")} | {"period": items[0]["period"]}
    send(commons, "ResolveVisit", **seen, note="They came for a neighbour.")
    until(lambda: commons("show", "review", "--json").json["distribution"]["rows"] == [])
    (item,) = commons("show", "review", "--all", "--json").json["distribution"]["rows"]
    assert item["note"] == "They came for a neighbour."
    meal = {"site": "main", "date": "2026-03-02", "meal": "lunch"}
    send(commons, "DeliverMeals", **meal, delivery="d1", quantity=1)
    send(commons, "CertifyCount", **meal, discrepancy=-1, reason="One was dropped.")
    items = until(lambda: commons("show", "review", "--json").json["distribution"]["rows"])
    assert [item["detail"] for item in items] == ["One was dropped."], "of nobody, in clear"
    send(commons, "ResolveCount", **meal, note="Seen to.")
    until(lambda: len(show(commons, "reach", "cp7")) == 3)

    commons.send("RecallLot", "--item", "chickpeas", "--recall", "rc-1", "--set", 'scope={"lots":["CP-7"]}',
                 "--reason", "glass")  # fmt: skip
    found = until(lambda: show(commons, "reach", "rc-1"))
    assert {(row["kind"], row["holder"], row["household"], row["name"]) for row in found} == {
        ("box", "bx-1", "fam-1", "Family 9001"), ("visit", "vi-1", "fam-2", "Family 9002"),
        ("visit", "vi-2", "fam-2", "Family 9002"),
    }  # fmt: skip
    assert show(commons, "stuck") == []
    done = commons("show", "served", "--csv")
    assert done.out.startswith("programme,name,households,new,returning")
    assert commons("verify").code == 0


def test_a_household_is_found_by_name_until_its_key_is_destroyed_and_no_name_is_stored(tmp_path: Path) -> None:
    with running(tmp_path) as commons:
        name, member, proxy = NAMES
        send(
            commons, "RegisterHousehold", household="fam-1", name=name, size=1,
            members=[{"member": "m1", "band": "adult", "name": member}],
        )  # fmt: skip
        send(commons, "AuthoriseProxy", household="fam-1", proxy="p1", name=proxy, since="2026-01-01")
        send(commons, "RegisterHousehold", household="fam-2", name="Yildun Zabel", size=1)

        def found(text: str) -> list[str]:
            return [row["household"] for row in show(commons, "households", text)]

        until(lambda: found("yildun"))
        for text in ("zübeyde", "ZUBEYDE", "Yıldırım", "yildirim", "celik zub", "andela", "thorunn", "ozt", "quart"):
            assert found(text) == ["fam-1"], text
        assert found("zab") == ["fam-2"]
        assert sorted(found("yil")) == ["fam-1", "fam-2"]
        assert found("yilmaz") == found("beyde") == []
        assert [row["name"] for row in show(commons, "check-in", "çelik")] == [name]

        assert commons("keys", "erase", "distribution", "household/fam-1", "--yes").code == 0
        until(lambda: tokens(commons) == {"fam-2"}, 1)
        assert found("zübeyde") == []
        assert found("zab") == ["fam-2"]
    with running(tmp_path) as commons:
        assert tokens(commons) == {"fam-2"}
    words = [word for full in NAMES for word in re.split(r"[ -]", full)]
    assert leaks([*NAMES, *words, "Zabel"], tmp_path / "data") == {}


def tokens(commons: Commons) -> set[str]:
    """Whose names the index finds, as the database has it."""

    async def ask() -> set[str]:
        connection = await asyncpg.connect(commons.described["database_url"])
        try:
            return {row["owner"] for row in await connection.fetch("SELECT owner FROM commons.search_token")}
        finally:
            await connection.close()

    return asyncio.run(ask())
