"""Commands sent to a running ledger, and what the read models then show."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path

import pytest

from services.commands import show_both
from services.commands.show import GOODS
from tests.integration.commands.conftest import Commons

RECEIVE = ("send", "inventory", "ReceiveStock", "--location", "main", "--source", "donation")


def item(commons: Commons, name: str, *more: str) -> str:
    """An item of one test alone."""
    commons.send("RegisterItem", "--item", name, "--name", name.title(), "--unit", "each", *more, "--wait", "catalogue")
    return name


def test_an_event_is_printed_for_people_and_for_programs(commons: Commons) -> None:
    oats = item(commons, "oats")
    done = commons(*RECEIVE, "--item", oats, "--lot", "A", "--quantity", "1200", "--as", "amina")
    assert done.code == 0
    for word in ("Recorded", "StockReceived", "oats:main", "1,200", "amina", "revision 1"):
        assert word in done.out
    told = commons(
        *RECEIVE, "--item", oats, "--lot", "A", "--quantity", "3", "--as", "amina", "--mandate", "council/7", "--json"
    )
    assert told.json["status"] == "accepted"
    assert told.json["event"]["data"]["on_hand"] == 1203
    assert told.json["event"]["authid"] == "amina"
    assert told.json["event"]["mandate"] == "steward council/7"  # nobody administrates: the token's role counts


def test_the_same_command_id_is_recorded_once_and_other_content_under_it_is_refused(commons: Commons) -> None:
    beans = item(commons, "beans")
    first = commons.send("ReceiveStock", *RECEIVE[3:], "--item", beans, "--quantity", "5", "--id", "delivery-9/1")
    again = commons.send("ReceiveStock", *RECEIVE[3:], "--item", beans, "--quantity", "5", "--id", "delivery-9/1")
    assert (again["sequence"], again["repeated"]) == (first["sequence"], True)
    other = commons(*RECEIVE, "--item", beans, "--quantity", "6", "--id", "delivery-9/1")
    assert (other.code, "COMMAND_ID_REUSED" in other.err) == (1, True)
    assert commons.send("RegisterItem", "--item", beans, "--name", "Beans", "--unit", "each")["status"] == "unchanged"


def test_a_refusal_is_one_message_with_its_code_or_the_problem_document(commons: Commons) -> None:
    done = commons(*RECEIVE, "--item", "nothing", "--quantity", "5")
    assert (done.code, done.out) == (1, "")
    assert "UNKNOWN_ITEM" in done.err
    told = commons(*RECEIVE, "--item", "nothing", "--quantity", "5", "--json")
    assert (told.code, told.err) == (1, "")
    assert told.json["code"] == "UNKNOWN_ITEM"
    assert told.json["status"] == 409


def test_what_is_bad_reaches_no_stream(commons: Commons) -> None:
    before = commons.last()
    for arguments, stdin in [
        (["--item", "a.b", "--quantity", "1"], None),
        (["--item", "rice", "--quantity", str(2**63)], None),
        (["--item", "rice", "--quantity", "-1"], None),
        (["--item", "rice", "--quantity", "1", "--note", "x" * 2001], None),
        (["--item", "rice", "--quantity", "1", "--date", "9999-12-31", "--date-kind", "expiry"], None),
        (["--item", "rice", "--quantity", "1", "--lot", "A\x07"], None),
        (["--file", "-"], b"x" * 10_000_000),
        (["--file", "-"], b'{"item": "ri\xff'),
    ]:
        assert commons(*RECEIVE, *arguments, stdin=stdin).code == 1, arguments
    assert commons.last() == before


def test_a_scan_names_the_item_the_lot_the_date_and_the_quantity(commons: Commons) -> None:
    told = commons.send("ReceiveStock", *RECEIVE[3:], "--scan", "(02)14006381333938(37)2(10)S1(17)270131")
    assert told["event"]["data"]["item"] == "rice"
    line = told["event"]["data"]["lines"][0]
    assert (line["lot"], line["date"], line["date_kind"], line["quantity"]) == ("S1", "2027-01-31", "expiry", 24)
    link = "https://id.gs1.org/01/04006381333931/10/S2"
    told = commons.send("ReceiveStock", *RECEIVE[3:], "--item", link, "--quantity", "3")
    assert (told["event"]["data"]["item"], told["event"]["data"]["lines"][0]["lot"]) == ("rice", "S2")
    unknown = commons(*RECEIVE, "--scan", "(01)05012345678900", "--quantity", "3")
    assert (unknown.code, "05012345678900" in unknown.err) == (1, True)


def test_what_was_just_written_can_be_waited_for_and_read(commons: Commons) -> None:
    flour = item(commons, "flour")
    sent = commons.send(
        "ReceiveStock", *RECEIVE[3:], "--item", flour, "--lot", "F1", "--quantity", "7", "--wait", "stock_on_hand"
    )
    at = ["--at-least", f"{sent['stream']}:{sent['sequence']}"]
    rows = commons("show", "stock", "--item", flour, *at, "--json").json["rows"]
    assert [(row["lot"], row["on_hand"], row["available"]) for row in rows] == [("F1", 7, 7)]
    trace = commons("show", "trace", "f-1", "--item", flour, *at, "--json").json
    assert {row["step"] for row in trace["rows"]} >= {"received", "on hand"}
    card = commons("show", "movements", flour, *at, "--json").json["rows"]
    assert [(row["kind"], row["change"], row["running"]) for row in card] == [("StockReceived", 7, 7)]


def test_a_read_model_that_does_not_get_there_says_how_far_it_is(commons: Commons) -> None:
    done = commons("show", "stock", "--at-least", "999999999")
    assert (done.code, "BEHIND" in done.err) == (1, True)
    done = commons("send", "inventory", "OpenLocation", "--location", "aside", "--name", "Aside", "--kind", "store",
                   "--wait", "nothing_like_it")  # fmt: skip
    assert (done.code, "no read model" in done.err) == (1, True)


@pytest.mark.parametrize("name", [*GOODS, *show_both.COMMANDS])
def test_everything_can_be_shown_as_table_json_and_csv(commons: Commons, name: str) -> None:
    more = {"trace": ["S1"], "movements": ["rice"]}.get(name, ["--of", "stock"] if name in show_both.COMMANDS else [])
    assert commons("show", name, *more).code == 0
    told = commons("show", name, *more, "--json")
    assert told.code == 0
    assert told.json["as_of"]["stream"] == "INVENTORY"
    written = commons("show", name, *more, "--csv")
    assert written.code == 0
    table = list(csv.reader(io.StringIO(written.out)))
    assert all(len(row) == len(table[0]) for row in table)
    if told.json["rows"]:
        assert table[0] == list(told.json["rows"][0])
    assert len(table) - 1 == len(told.json["rows"])


def test_an_item_is_found_by_scan_barcode_and_name_and_an_unknown_one_is_an_error(commons: Commons) -> None:
    for named in ("rice", "4006381333931", "(01)04006381333931", "rice 1 KG"):
        rows = commons("show", "items", "--item", named, "--json").json["rows"]
        assert [row["item"] for row in rows] == ["rice"]
    done = commons("show", "stock", "--item", "rise")
    assert (done.code, "rice" in done.err) == (1, True)
    done = commons("show", "stock", "--location", "mian")
    assert (done.code, "main" in done.err) == (1, True)
    done = commons("show", "trace", "(01)04006381333931")
    assert (done.code, "(10)" in done.err) == (1, True)


def test_figures_of_a_month_are_those_of_that_month(commons: Commons) -> None:
    tea = item(commons, "tea", "--net-weight", "100")
    for day, quantity in (("2026-08-31", 1), ("2026-09-01", 2), ("2026-09-30", 4), ("2026-10-01", 8)):
        sent = commons.send(
            "ReceiveStock", *RECEIVE[3:], "--item", tea, "--quantity", str(quantity),
            "--occurred-at", f"{day}T12:00:00Z", "--wait", "movements",
        )  # fmt: skip
    at = ["--at-least", str(sent["sequence"]), "--json"]
    rows = commons("show", "receipts", "--item", tea, "--month", "2026-09", "--by", "source", *at).json["rows"]
    assert [(row["source"], row["month"], row["quantity"]) for row in rows] == [("donation", "2026-09-01", 6)]
    rows = commons("show", "movements", tea, "--since", "2026-09-30", "--until", "2026-10-01", *at).json["rows"]
    assert [row["running"] for row in rows] == [7, 15]


def test_a_table_in_a_narrow_window_leaves_columns_out_and_says_so(
    commons: Commons, monkeypatch: pytest.MonkeyPatch
) -> None:
    oats = item(commons, "narrow")
    for _ in range(4):
        sent = commons.send("ReceiveStock", *RECEIVE[3:], "--item", oats, "--quantity", "5", "--wait", "movements")
    monkeypatch.setenv("COLUMNS", "60")
    narrow = commons("show", "movements", oats, "--at-least", str(sent["sequence"]))
    assert "No room here for" in narrow.out
    lines = [line for line in narrow.out.splitlines() if not line.startswith("No room")]
    assert max(len(line) for line in lines) <= 60


def test_a_note_of_several_lines_is_shown_on_one_and_control_characters_are_refused(commons: Commons) -> None:
    soup = item(commons, "soup")
    note = "first line\nsecond line"
    assert commons(*RECEIVE, "--item", soup, "--quantity", "1", "--set", f"note={note}").code == 0
    assert commons("tail", "--last", "1").out.count("\n") == 1
    assert json.loads(commons("tail", "--last", "1", "--json").out)["data"]["note"] == note
    done = commons(*RECEIVE, "--item", soup, "--quantity", "1", "--note", "a\x1b[2Jb")
    assert done.code == 1
    assert "\x1b" not in done.err


# -- personal data ----------------------------------------------------------------------------------------------------


def test_a_donor_s_name_is_sealed_in_the_event_and_opened_to_be_shown(commons: Commons) -> None:
    told = commons.send(
        "RegisterDonor", "--donor", "d-1", "--name", "Crumbleholme Bakery", "--kind", "bakery", "--contact", "=SUM(A1)",
        "--wait", "donors",
    )  # fmt: skip
    assert told["event"]["data"]["name"].startswith("sealed:")
    shown = commons("show", "donors")
    assert "Crumbleholme Bakery" in shown.out and "sealed:" not in shown.out
    (row,) = commons("show", "donors", "d-1", "--json").json["rows"]
    assert (row["name"], row["kind"], row["contact"], row["note"]) == (
        "Crumbleholme Bakery",
        "bakery",
        "=SUM(A1)",
        None,
    )
    assert "'=SUM(A1)" in commons("show", "donors", "d-1", "--csv").out
    again = commons("send", "inventory", "RegisterDonor", "--donor", "d-1", "--name", "Other")
    assert (again.code, "ALREADY_EXISTS" in again.err) == (1, True)


def test_without_the_master_key_it_stays_sealed_and_the_answer_says_why(
    commons: Commons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commons.send("RegisterDonor", "--donor", "d-2", "--name", "Hyacinth Pike", "--wait", "donors")
    monkeypatch.setenv("COMMONS_MASTER_KEY_FILE", str(tmp_path / "none"))
    shown = commons("show", "donors", "d-2")
    assert shown.code == 0
    assert "(sealed)" in shown.out and "cannot be read: No such file" in shown.out and "Hyacinth" not in shown.out
    monkeypatch.delenv("COMMONS_MASTER_KEY_FILE")
    monkeypatch.setenv("COMMONS_MASTER_KEY", base64.b64encode(bytes(32)).decode())
    assert "(sealed)" in (shown := commons("show", "donors", "d-2")).out
    assert "which was not given" in shown.out
