"""The screens of distribution on a whole ledger, from a household's card to a recall that finds its box."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.commands.common import Operator
from shared.errors import OutcomeUnknown
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
    until(lambda: one(commons, "session", "s1")["people_served"] == 7)
    assert one(commons, "session", "s1")["individuals"] == 4
    row = next(row for row in show(commons, "served") if row["programme"] == "screens")
    assert (row["households"], row["new"], row["times"], row["individuals"]) == (2, 2, 3, 4)
    assert row["weight"] == 6 * 400
    items = commons("show", "review", "--json").json["distribution"]["rows"]
    assert [(item["kind"], item["household"]) for item in items] == [("limit_reached", "fam-2")]
    assert items[0]["todo"].endswith("or send ResolveVisit.")
    in_words = commons("show", "review", "--of", "distribution").out
    assert "limit reached" in in_words and "limit_reached" not in in_words
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
    assert "No recall, box or visit is called nosuch" in commons("show", "reach", "nosuch").out
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
        assert found("zübeyde yı") == found("ç zub") == ["fam-1"]
        assert found("yildun z") == ["fam-2"]
        assert found("yildun b") == []
        for screen in ("households", "check-in"):
            done = commons("show", screen, "yi ç")
            assert "at least 3 letters" in done.out and "egister" not in done.out, done
            assert commons("show", screen, "yilmaz").out.startswith(("There is no such", "There are no"))
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


def table(commons: Commons, name: str, *items: str, limit: int | None = 1) -> str:
    """A programme with a session that is open, whose standard box has one of each item; gives the session."""
    now = datetime.now(UTC)
    send(commons, "OpenProgramme", programme=name, name=name, kind="box")
    if limit is not None:
        send(commons, "SetLimit", programme=name, times=limit, every="week")
    box = [{"item": item, "quantity": 1} for item in items]
    until(  # the catalogue comes from inventory by itself
        lambda: (
            commons("send", "distribution", "SetBundle", "--programme", name, "--set", f"lines={json.dumps(box)}").code
            == 0
        )
    )
    send(
        commons, "ScheduleSession", session=f"{name}-1", programme=name, site="main", name=name,
        starts_at=now.isoformat(), ends_at=(now + timedelta(hours=3)).isoformat(),
    )  # fmt: skip
    send(commons, "OpenSession", session=f"{name}-1")
    return f"{name}-1"


def test_a_household_is_served_in_one_scan_and_told_which_option_answers_a_refusal(commons: Commons) -> None:
    commons.send(
        "RegisterItem",
        "--item",
        "at-table-halva",
        "--name",
        "Halva",
        "--unit",
        "each",
        "--set",
        'allergens=["sesame-seeds"]',
    )
    session = table(commons, "scan", "at-table-halva")
    send(
        commons, "RegisterHousehold", household="scan-h", card="S-1", name="Family Scan", size=2,
        members=[{"member": "m1", "band": "adult", "allergens": "sesame-seeds, milk"}],
    )  # fmt: skip
    until(lambda: show(commons, "check-in", "S-1", "--session", session))
    done = commons("serve", "S-1", "--session", session)
    assert done.code == 1
    assert "Family Scan" in done.out and "sesame-seeds, milk" in done.out and "0 of 1 in" in done.out
    assert "WARNING_NOT_SEEN" in done.err and "--seen-warnings" in done.err
    done = commons("serve", "S-1", "--session", session, "--dry-run")
    assert done.code == 0 and "nothing was sent" in done.out
    done = commons("serve", "S-1", "--session", session, "--seen-warnings", "--visit", "once", "--json")
    assert done.code == 0, done
    assert done.json["check_in"]["avoids"] == ["sesame-seeds", "milk"]
    assert done.json["event"]["data"]["goods"] == [{"item": "at-table-halva", "quantity": 1}]
    again = commons("serve", "S-1", "--session", session, "--seen-warnings", "--visit", "once", "--json")
    assert (again.code, again.json["sequence"], again.json["repeated"]) == (0, done.json["sequence"], True)
    twice = commons("serve", "S-1", "--session", session, "--seen-warnings")
    assert twice.code == 1 and "LIMIT_REACHED" in twice.err and "--override-reason" in twice.err
    reason = ("--seen-warnings", "--override-reason", "visitors", "--lines", "at-table-halva=2", "--people", "adult=4")
    done = commons("serve", "scan-h", "--session", session, *reason, "--json")
    assert done.code == 0, done
    assert done.json["event"]["data"]["served"] == {"child": 0, "adult": 4, "senior": 0, "unknown": 0}
    done = commons("serve", "--anonymous", "--people", "adult=1,child=1", "--session", session, "--json")
    assert (done.code, done.json["check_in"]) == (0, None)
    until(lambda: one(commons, "session", session)["visits"] == 3)
    row = one(commons, "session", session)
    assert (row["households"], row["anonymous"]) == (1, 1)
    fact = commons("serve", "S-1", "--session", session, "--fact", "--json")
    assert fact.json["event"]["data"]["breaches"] == ["LIMIT_REACHED"]
    send(
        commons, "ResolveVisit", visit=fact.json["data"]["visit"], household="scan-h", programme="scan",
        period=fact.json["data"]["period"], note="Seen to.",
    )  # fmt: skip


def test_a_household_whose_box_waits_gets_the_box_and_one_whose_order_is_to_be_packed_waits_for_it(
    commons: Commons,
) -> None:
    commons.send(
        "RegisterItem", "--item", "at-table-bulgur", "--name", "Bulgur", "--unit", "each", "--set", "allergens=[]"
    )
    commons.send(
        "ReceiveStock", "--item", "at-table-bulgur", "--location", "main", "--source", "donation", "--lot", "BG-1",
        "--quantity", "50",
    )  # fmt: skip
    session = table(commons, "waits", "at-table-bulgur", limit=None)
    send(commons, "RegisterHousehold", household="waits-h", card="W-1", size=1)
    send(commons, "PlaceOrder", order="waits-o", household="waits-h", session=session)
    send(commons, "ConfirmOrder", order="waits-o")
    until(lambda: [row for row in show(commons, "orders", "waits-o") if row["waits"] == "to be packed"])
    done = commons("serve", "W-1", "--session", session)
    assert done.code == 1 and "ORDER_WAITS" in done.err and "waits-o" in done.err and "Pack it" in done.err
    send(commons, "PackBox", box="waits-b", order="waits-o")
    until(lambda: one(commons, "check-in", "W-1", "--session", session)["state"] == "packed")
    for beside in (("--lines", "at-table-bulgur=1"), ("--seen-warnings",), ("--confirm-unusual",)):
        done = commons("serve", "W-1", "--session", session, *beside)
        assert done.code == 2 and beside[0] in done.err, "what is said of a visit is not said of a box"
    done = commons("serve", "W-1", "--session", session)
    assert done.code == 0, done
    assert "Box waits-b of order waits-o waits for it." in done.out and "BoxHandedOut" in done.out
    until(lambda: one(commons, "check-in", "W-1", "--session", session)["state"] == "handed out")


def test_what_is_unusual_is_confirmed_by_the_option_that_the_refusal_names(commons: Commons) -> None:
    commons.send("RegisterItem", "--item", "at-table-rye", "--name", "Rye", "--unit", "each", "--set", "allergens=[]")
    session = table(commons, "many", "at-table-rye", limit=None)
    asked = ("serve", "--anonymous", "--session", session, "--lines", "at-table-rye=1", "--people", "adult=31")
    done = commons(*asked)
    assert done.code == 1 and "UNUSUAL" in done.err and "--confirm-unusual" in done.err
    done = commons(*asked, "--confirm-unusual")
    assert done.code == 0 and "VisitRecorded" in done.out


def test_who_cannot_be_served_at_one_table_is_told_why(commons: Commons) -> None:
    commons.send("RegisterItem", "--item", "at-table-oats", "--name", "Oats", "--unit", "each", "--set", "allergens=[]")
    first, second = (
        table(commons, "where-a", "at-table-oats", limit=None),
        table(commons, "where-b", "at-table-oats", limit=None),
    )
    for household in ("where-1", "where-2"):
        send(commons, "RegisterHousehold", household=household, card="TWICE", size=1)
    until(lambda: len(show(commons, "check-in", "TWICE", "--session", first)) == 2)
    done = commons("serve", "TWICE")
    assert done.code == 1 and f"{first}, {second}" in done.err and "--session" in done.err
    done = commons("serve", "TWICE", "--session", first)
    assert done.code == 1 and "where-1 and where-2" in done.err
    assert "where-2" in str(commons("serve", "where-2", "--session", first, "--json").json["data"]["household"])
    assert "No household has the card" in commons("serve", "nobody", "--session", first).err
    assert "There is no session 'where-c-1'. Near it: " in commons("serve", "TWICE", "--session", "where-c-1").err
    for wrong in ((), ("TWICE", "--anonymous"), ("TWICE", "--lines", "at-table-oats"), ("TWICE", "--people", "2"),
                  ("TWICE", "--visit", "a b"), ("TWICE", "--occurred-at", "today")):  # fmt: skip
        assert commons("serve", *wrong).code == 2, wrong
    kinds = {row["kind"]: row for row in commons("show", "review", "--json").json["distribution"]["rows"]}
    assert kinds["card_shared"]["detail"] == "card TWICE is on where-1 and where-2"
    send(commons, "ChangeHousehold", household="where-2", card="ONCE")
    until(lambda: commons("show", "review", "--json").json["distribution"]["rows"] == [])


def test_an_answer_that_does_not_come_leaves_the_command_that_asks_for_it_without_serving_twice(
    commons: Commons,
) -> None:
    commons.send(
        "RegisterItem", "--item", "at-table-beans", "--name", "Beans", "--unit", "each", "--set", "allergens=[]"
    )
    session = table(commons, "lost", "at-table-beans", limit=None)
    send(commons, "RegisterHousehold", household="lost-h", card="L-1", size=1)
    until(lambda: show(commons, "check-in", "L-1", "--session", session))
    lost: list[str] = []

    class Deaf:
        """Sends, and hears no answer."""

        def __init__(self, client: Any) -> None:
            self._client = client

        async def send(self, *arguments: Any, **more: Any) -> Any:
            await self._client.send(*arguments, **more)
            raise OutcomeUnknown("No answer came.")

    with pytest.MonkeyPatch.context() as patch:
        client = Operator.client
        patch.setattr(Operator, "client", lambda *given, **more: Deaf(client(*given, **more)))
        done = commons("serve", "L-1", "--session", session, "--lines", "at-table-beans=3")
        assert done.code == 3 and "Do not scan again" in done.err
        lost.append(done.err.strip().splitlines()[-1].strip())
    assert lost[0].startswith(f"commons serve lost-h --session {session} --visit ")
    again = commons(*shlex.split(lost[0])[1:], "--json")
    assert again.code == 0 and again.json["repeated"] is True, again
    until(lambda: one(commons, "session", session)["visits"] == 1)


def test_what_is_known_no_more_is_said_by_a_command_that_replaces_it_as_a_whole(commons: Commons) -> None:
    send(commons, "RegisterHousehold", household="gone-1", card="G-1", name="Ana", size=1)
    done = commons("send", "distribution", "ChangeHousehold", "--household", "gone-1", "--name", "Ana", "--note", "x")
    assert "Left out, and so not known any more: card, contact, address, language." in " ".join(done.out.split())
    whole = ("--card", "G-1", "--contact", "1", "--address", "2", "--language", "3")
    done = commons(
        "send", "distribution", "ChangeHousehold", "--household", "gone-1", "--name", "Ana", "--note", "x", *whole
    )
    assert done.code == 0 and "Left out" not in done.out
    done = commons("send", "distribution", "RenewEligibility", "--household", "gone-1")
    assert done.code == 0 and "Left out" not in done.out


def test_ids_that_nothing_has_are_said_to_be_unknown(commons: Commons) -> None:
    for asked in (
        ("show", "queue", "nosuch"), ("show", "packing", "nosuch"), ("show", "route", "nosuch"),
        ("show", "session", "nosuch"), ("show", "check-in", "1", "--session", "nosuch"),
        ("show", "served", "--programme", "nosuch"), ("show", "orders", "--household", "nosuch"),
        ("show", "meals", "--site", "nosuch"), ("print", "labels", "--session", "nosuch"),
    ):  # fmt: skip
        done = commons(*asked)
        assert done.code == 1 and "There is no " in done.err and "'nosuch'" in done.err, asked
    for asked in (("show", "served"), ("show", "meals")):
        done = commons(*asked, "--from", "2026-02-01", "--to", "2026-01-01")
        assert done.code == 2 and "--from 2026-02-01 is after --to 2026-01-01." in done.err
    done = commons("print", "labels", "--boxes", "B-1,B-2,B-2", "--output", "x.pdf")
    assert done.code == 2 and "B-2" in done.err
