"""Who gives and who owes: parties, gifts and their acknowledgement, dues, pledges."""

from __future__ import annotations

from collections.abc import Iterable

from services.projections.treasury.base import TreasuryProjection, taken_back
from services.treasury.contract import (
    DonationAcknowledged,
    DonationRecorded,
    DuesAssessed,
    DuesReceived,
    DuesWaived,
    EntryReversed,
    GiftInKindRecorded,
    PartyChanged,
    PartyRegistered,
    PaymentFailed,
    PledgeEnded,
    PledgeMade,
)
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table


class Giving(TreasuryProjection):
    """Gifts, dues and pledges, with amounts in minor units, and the people and organisations behind them.

    A party's name, contact, bank account, login and note are sealed. `dues_payments` has a row for each entry that
    settled a part of dues (received or waived), and one with the opposite sign for each that took such an entry back:
    what remains of dues is their amount less the sum of these. `reversed_by` is the entry that took a gift, or an
    assessment of dues, back.
    """

    name = "giving"
    version = 1
    events = frozenset({
        PartyRegistered, PartyChanged, DonationRecorded, GiftInKindRecorded, DonationAcknowledged, DuesAssessed,
        DuesReceived, DuesWaived, EntryReversed, PaymentFailed, PledgeMade, PledgeEnded,
    })  # fmt: skip
    tables = (
        Table(
            "parties",
            key=("party",),
            columns={
                "party": "text", "kind": "text", "name": "text", "contact": "text", "bank_account": "text",
                "login": "text", "note": "text", "registered_at": "timestamptz", "changed_at": "timestamptz",
            },
        ),
        Table(
            "gifts",
            key=("book", "entry"),
            columns={
                "book": "text", "entry": "text", "kind": "text", "donor": "text", "amount": "bigint", "unit": "text",
                "fund": "text", "date": "date", "what": "text", "reference": "text", "into_account": "text",
                "income": "text", "pledge": "text", "delivery": "text", "acknowledged_at": "timestamptz",
                "means": "text", "reversed_by": "text",
            },
            indexes=("book, date", "donor", "pledge"),
        ),
        Table(
            "dues",
            key=("book", "entry"),
            columns={
                "book": "text", "entry": "text", "member": "text", "period": "text", "amount": "bigint",
                "unit": "text", "fund": "text", "date": "date", "due_on": "date", "reversed_by": "text",
            },
            indexes=("member",),
        ),
        Table(
            "dues_payments",
            key=("book", "entry"),
            columns={
                "book": "text", "entry": "text", "dues": "text", "kind": "text", "amount": "bigint", "date": "date",
            },
            indexes=("book, dues",),
        ),
        Table(
            "pledges",
            key=("pledge",),
            columns={
                "pledge": "text", "book": "text", "donor": "text", "amount": "bigint", "unit": "text", "fund": "text",
                "every": "text", "starts": "date", "ends": "date", "made_at": "timestamptz", "ended_at": "timestamptz",
                "end_reason": "text",
            },
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        data = event.data
        match data:
            case PartyChanged():
                yield "parties", (data.party,)
            case DonationAcknowledged():
                yield "gifts", (data.book, data.donation)
            case PledgeEnded():
                yield "pledges", (data.pledge,)
        undone = taken_back(data)
        if undone is not None:
            for table in ("gifts", "dues", "dues_payments"):
                yield table, (data.book, undone)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case PartyRegistered() | PartyChanged() as data:
                before = rows.get("parties", (data.party,)) if isinstance(data, PartyChanged) else None
                rows.put(
                    "parties",
                    (data.party,),
                    {
                        "kind": str(data.kind), "name": data.name, "contact": data.contact, "login": data.login,
                        "bank_account": data.bank_account, "note": data.note,
                        "changed_at": data.occurred_at if isinstance(data, PartyChanged) else None,
                        "registered_at": before["registered_at"] if before else data.occurred_at,
                    },
                )  # fmt: skip
            case DonationRecorded() | GiftInKindRecorded() as data:
                rows.put("gifts", (data.book, data.entry), _gift(data))
            case DonationAcknowledged() as data:
                if (gift := rows.get("gifts", (data.book, data.donation))) is not None:
                    gift |= {"acknowledged_at": data.occurred_at, "means": data.means}
            case DuesAssessed() as data:
                rows.put(
                    "dues",
                    (data.book, data.entry),
                    {
                        "member": data.member, "period": data.period, "amount": data.amount, "unit": data.unit,
                        "fund": data.fund, "date": data.date, "due_on": data.due_on, "reversed_by": None,
                    },
                )  # fmt: skip
            case DuesReceived() as data:
                _settle(rows, data, "received", data.amount)
            case DuesWaived() as data:
                _settle(rows, data, "waived", data.waived)
            case PledgeMade() as data:
                rows.put(
                    "pledges",
                    (data.pledge,),
                    {
                        "book": data.book, "donor": data.donor, "amount": data.amount, "unit": data.unit,
                        "fund": data.fund, "every": str(data.every), "starts": data.starts, "ends": data.ends,
                        "made_at": data.occurred_at, "ended_at": None, "end_reason": None,
                    },
                )  # fmt: skip
            case PledgeEnded() as data:
                if (pledge := rows.get("pledges", (data.pledge,))) is not None:
                    pledge |= {"ended_at": data.occurred_at, "end_reason": data.reason}
            case EntryReversed() | PaymentFailed() as data:
                _take_back(rows, data)


def _gift(data: DonationRecorded | GiftInKindRecorded) -> Row:
    row: Row = {
        "kind": "money", "donor": data.donor, "amount": data.amount, "unit": data.unit, "fund": data.fund,
        "date": data.date, "into_account": data.into, "income": data.income, "what": None, "reference": None,
        "pledge": None, "delivery": None, "acknowledged_at": None, "means": None, "reversed_by": None,
    }  # fmt: skip
    if isinstance(data, GiftInKindRecorded):
        return row | {"kind": "in kind", "what": data.what, "delivery": data.delivery}
    return row | {"what": data.description, "reference": data.reference, "pledge": data.pledge}


def _settle(rows: Rows, data: DuesReceived | DuesWaived, kind: str, amount: int) -> None:
    rows.put(
        "dues_payments",
        (data.book, data.entry),
        {"dues": data.dues, "kind": kind, "amount": amount, "date": data.date},
    )


def _take_back(rows: Rows, data: EntryReversed | PaymentFailed) -> None:
    key = (data.book, data.reverses)
    for table in ("gifts", "dues"):
        if (row := rows.get(table, key)) is not None:
            row["reversed_by"] = data.entry
    if (payment := rows.get("dues_payments", key)) is not None:
        rows.put(
            "dues_payments",
            (data.book, data.entry),
            {"dues": payment["dues"], "kind": payment["kind"], "amount": -payment["amount"], "date": data.date},
        )
