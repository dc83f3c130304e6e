"""What generated histories of a book are made of: a club with some money, and entries that are mostly right."""

from __future__ import annotations

from hypothesis import strategies as st

from services.treasury.contract import AccountKind
from tests.support.treasury import CLUB, account, came_in, on, p, spent
from tests.unit.treasury.naive import Postings

lender = account("lender", AccountKind.LIABILITY, guarded=True)
BEGINNING = (
    *CLUB, lender, came_in(100, "b1", on(3, 1)), came_in(60, "b2", on(11, 1)), spent(30, "b3", on(11, 10)),
    came_in(40, "b4", on(10, 1), fund="youth"), came_in(50, "b5", on(11, 5), fund="later"),
)  # fmt: skip

amounts = st.integers(1, 30)
funds = st.sampled_from(["general", "general", "youth", "grant", "later"])
sources = st.sampled_from(["dues", "gifts", "loan", "lender", "net"])
purposes = st.sampled_from(["food", "food", "rent", "owed", "lender"])
purses = st.sampled_from(["bank", "bank", "cash"])
units = st.sampled_from(["EUR", "EUR", "EUR", "HOURS"])
ids = st.sampled_from([f"e{number}" for number in range(150)])
hold_ids = st.sampled_from(["h1", "h2", "h3"])
backdated = st.sampled_from([0, 0, 0, -1, -2, -3, -5, -8, -13, -30])
flags = st.sampled_from([False, False, False, True])


@st.composite
def sides(draw: st.DrawFn) -> tuple[Postings, Postings]:
    """Debits and credits: mostly money that comes in or goes out; now and then nonsense."""
    kind = draw(st.sampled_from(["in", "in", "out", "out", "out", "move", "split", "two", "still", "nonsense"]))
    amount, fund, unit = draw(amounts), draw(funds), draw(units)
    purse = draw(purses)
    if kind == "in":
        return (p(purse, amount, fund, unit),), (p(draw(sources), amount, fund, unit),)
    if kind == "out":
        return (p(draw(purposes), amount, fund, unit),), (p(purse, amount, fund, unit),)
    if kind == "move":
        return (p("cash", amount, fund, unit),), (p("bank", amount, fund, unit),)
    if kind == "split":
        part = draw(st.integers(1, amount))
        parts = (p("food", part, fund, unit), *((p("rent", amount - part, fund, unit),) if part < amount else ()))
        return parts, (p(purse, amount, fund, unit),)
    if kind == "still":
        return (p(purse, amount, fund, unit),), (p(purse, amount, fund, unit),)
    if kind == "two":
        other = draw(funds)
        return (p("food", amount, fund), p("bank", 5, other)), (p("bank", amount, fund), p("dues", 5, other))
    account, fund, unit = (draw(st.sampled_from(one)) for one in (["bank", "cash", "moon"], ["youth", "mars"], ["USD"]))
    return (p(account, draw(amounts), fund, draw(st.sampled_from([unit, "EUR"]))),), (p("dues", amount),)
