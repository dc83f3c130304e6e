"""An auditor sees a figure that does not follow, even where chain, hashes and signatures hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from bench.offline import events
from services.auditor.chains import Chains, Unsound
from services.inventory.contract import inventory
from services.inventory.deciders import DECIDERS
from services.treasury.contract import EntryPosted, Posting
from services.treasury.state import Book, check_after

ALL = list(events(200, 3))
RAWS = ALL[: max(at for at, raw in enumerate(ALL, 1) if b"stock-issued" in raw)]
"""A pantry's ledger whose last event gives something out."""


def taken(raws: list[bytes]) -> Chains:
    chains = Chains(inventory, DECIDERS)
    for sequence, raw in enumerate(raws, 1):
        chains.take(sequence, raw)
    chains.finish()
    return chains


def test_a_pantrys_ledger_is_sound() -> None:
    assert taken(RAWS).events == len(RAWS)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda raw: raw.replace(b'"freed":[],"on_hand":', b'"freed":[],"on_hand":1'), "the event says 1"),
        (lambda raw: raw.replace(b'"unrecorded":0,"on_hand":', b'"unrecorded":0,"on_hand":1'), "lot 'L"),
        (lambda raw: raw.replace(b'"change":-', b'"change":-99'), "the balance falls below zero"),
    ],
)
def test_a_figure_changed_in_the_last_event_of_a_stock_is_seen_at_once(
    edit: Callable[[bytes], bytes], said: str
) -> None:
    *before, last = RAWS
    assert edit(last) != last
    with pytest.raises(Unsound, match=said) as caught:
        taken([*before, edit(last)])
    assert caught.value.facts["sequence"] == len(RAWS)


def test_an_entry_that_does_not_balance_is_named() -> None:
    def entry(debit: int, credit: int, fund: str = "general") -> EntryPosted:
        return EntryPosted(
            book="main", entry="e-1", date=date(2026, 1, 1),
            debits=(Posting(account="cash", amount=debit, unit="EUR"),),
            credits=(Posting(account="gifts", amount=credit, unit="EUR", fund=fund),),
        )  # fmt: skip

    assert check_after(Book(), entry(500, 500)) == []
    assert check_after(Book(), entry(500, 400)) == ["the entry e-1 is out of balance by 100 EUR in fund general"]
    assert len(check_after(Book(), entry(500, 500, fund="roof"))) == 2
