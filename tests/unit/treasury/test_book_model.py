"""The book beside a naive one: over long histories both refuse the same, for the same reason, with the same figures."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.treasury.contract import (
    CloseAccount,
    ClosePeriod,
    CloseYear,
    EntriesPosted,
    Entry,
    EntryResult,
    ExpireHold,
    OpenAccount,
    OpenFund,
    PlaceHold,
    PostEntries,
    PostEntry,
    PostHold,
    ReopenPeriod,
    ReverseEntry,
    VoidHold,
)
from tests.support.sentences import NOW, Given
from tests.support.treasury import IN, balances, given, on, p, state
from tests.unit.treasury.generated import BEGINNING, backdated, flags, hold_ids, ids, sides
from tests.unit.treasury.naive import NaiveBook, Postings, balanced


class BooksAgree(RuleBasedStateMachine):
    """Whatever happens to one book happens to both."""

    def __init__(self) -> None:
        super().__init__()
        self.given: Given = given(*BEGINNING)
        self.now = NOW
        self.naive = NaiveBook(
            accounts={one.account: one for one in BEGINNING if isinstance(one, OpenAccount)},
            funds={one.fund: one for one in BEGINNING if isinstance(one, OpenFund)},
            units={"EUR", "HOURS"}, starts=on(1, 1),
        )  # fmt: skip
        for event in self.given.world.history["book", "club"]:
            self.naive.note(event)
        self.sent: dict[str, PostEntry] = {}
        self.ended: dict[str, str] = {}
        self.closings: set[str] = set()

    @property
    def today(self) -> date:
        return self.now.date()

    def _day(self, back: int) -> date:
        return self.today + timedelta(days=back)

    def _send(self, command: Any, refusal: str | None) -> Any:
        """Send a command and compare what becomes of it; give the event, or None."""
        asked = self.given.when(command, now=self.now)
        code = asked.refusal.code if asked.refusal is not None else None
        assert code == refusal, f"{asked.refusal!r}, {asked.event}, and not {refusal}"
        event = asked.event
        if event is not None:
            self.given = asked.then_event()
            self.naive.note(event)
            if not isinstance(event, EntriesPosted):
                self.given.when(command, now=self.now).then_nothing()
        return event

    def _ids(self) -> dict[str, Any]:
        return {entry.id: entry for entry in self.naive.entries}

    # -- entries ------------------------------------------------------------------------------------------------------

    @rule(id=ids, both=sides(), back=backdated, fact=flags)
    def posts(self, id: str, both: tuple[Postings, Postings], back: int, fact: bool) -> None:
        day = self._day(back)
        known = self._ids().get(id)
        refusal = self.naive.refusal(day, self.today, *both, fact=fact)
        command = PostEntry(**IN, entry=id, date=day, debits=both[0], credits=both[1], fact=fact)
        if known is not None:
            same = self.sent.get(id) == command and id not in self.naive.taken_back
            assert (self._send(command, None if same else "ENTRY_EXISTS")) is None
            return
        event = self._send(command, refusal)
        if event is not None:
            self.sent[id] = command
            limits = [] if not fact else self.naive_breaches(both, day)
            purposes = [one for one in both[0] if fact and self.naive.misspent(one)]
            assert [one.code for one in event.breaches] == ["FUND_PURPOSE"] * len(purposes) + limits

    def naive_breaches(self, both: tuple[Postings, Postings], day: date) -> list[str]:
        """What the entry that was posted last broke, as things stood before it."""
        last = self.naive.entries.pop()
        found = self.naive.broken(day, *both)
        self.naive.entries.append(last)
        return found

    @rule(
        lines=st.lists(st.tuples(ids, sides(), backdated, flags), min_size=1, max_size=5),
        linked=st.lists(flags, min_size=5, max_size=5),
    )
    def posts_many(self, lines: list[tuple[str, tuple[Postings, Postings], int, bool]], linked: list[bool]) -> None:
        last = len(lines) - 1
        entries = [
            Entry(entry=id, date=self._day(back), debits=both[0], credits=both[1], fact=fact,
                  linked=linked[at] and at < last)
            for at, (id, both, back, fact) in enumerate(lines)
        ]  # fmt: skip
        expected = self._expected(entries)
        event = self._send(PostEntries(**IN, entries=tuple(entries)), None)
        if event is None:
            assert set(expected) == {"already_posted"}
            return
        said = ["posted"] * len(entries)
        for one in event.not_posted:
            said[one.at] = "differs" if one.result is EntryResult.DIFFERS else str(one.code or one.result)
        assert said == expected

    def _expected(self, entries: list[Entry]) -> list[str]:
        """Post them to the naive book one after another, take back every chain that does not stand, and forget all."""
        before = list(self.naive.entries)
        results: list[str] = []
        start = 0
        while start < len(entries):
            stop = start + 1
            while entries[stop - 1].linked:
                stop += 1
            mark = list(self.naive.entries)
            earlier = self._ids()
            chain = [self._naive_post(entry) for entry in entries[start:stop]]
            if any(result not in ("posted", "already_posted") for result in chain):
                self.naive.entries = mark
                for at, entry in enumerate(entries[start:stop]):
                    stands = entry.entry in earlier and _same(entry, earlier[entry.entry])
                    if chain[at] in ("posted", "already_posted"):
                        chain[at] = "already_posted" if stands else "LINKED_ENTRY_REFUSED"
            results += chain
            start = stop
        self.naive.entries = before
        return results

    def _naive_post(self, entry: Entry) -> str:
        known = self._ids().get(entry.entry)
        if known is not None and known.id in self.naive.taken_back:
            return "ALREADY_REVERSED"
        if known is not None:
            return "already_posted" if _same(entry, known) else "differs"
        refusal = self.naive.refusal(entry.date, self.today, entry.debits, entry.credits, fact=entry.fact)
        if refusal is None:
            event = EntriesPosted(book="club", entries=(entry,))
            self.naive.note(event)
        return refusal or "posted"

    @rule(nth=st.integers(-12, 40), by=ids, back=backdated, fact=flags)
    def reverses(self, nth: int, by: str, back: int, fact: bool) -> None:
        known = self._ids()
        assume(by not in known)
        reverses = list(known)[nth] if -len(known) <= nth < 0 else f"e{nth}"
        day = self._day(back)
        entry = known.get(reverses)
        if entry is None:
            refusal: str | None = "UNKNOWN_ENTRY"
        elif reverses in self.naive.taken_back:
            refusal = "ALREADY_REVERSED"
        elif reverses in self.naive.taken_back.values():
            refusal = "NOT_REVERSIBLE"
        elif reverses in self.closings:
            standing = bool(self.naive.years) and self.naive.years[-1][1] == reverses
            refusal = None if standing else "NOT_REVERSIBLE"
            command = ReverseEntry(**IN, entry=by, reverses=reverses, reason="x")
            self._send(command, refusal)
            return
        else:
            refusal = self.naive.refusal(day, self.today, entry.credits, entry.debits, fact=fact, spending=False)
        self._send(ReverseEntry(**IN, entry=by, reverses=reverses, date=day, reason="x", fact=fact), refusal)

    # -- holds --------------------------------------------------------------------------------------------------------

    @rule(id=hold_ids, both=sides(), hours=st.sampled_from([None, 5, 50]))
    def holds(self, id: str, both: tuple[Postings, Postings], hours: int | None) -> None:
        expires_at = None if hours is None else self.now + timedelta(hours=hours)
        if id in self.naive.holds:
            refusal: str | None = "ALREADY_EXISTS"
            assume(self.naive.holds[id] != both)
        elif id in self.ended:
            refusal = "ALREADY_EXISTS"
        else:
            refusal = self.naive.malformed(*both, spending=True)
            refusal = refusal or next(iter(self.naive.broken(self.today, *both)), None)
        self._send(PlaceHold(**IN, hold=id, debits=both[0], credits=both[1], expires_at=expires_at), refusal)

    @precondition(lambda self: self.naive.holds or self.ended)
    @rule(id=hold_ids, entry=ids, back=backdated, share=st.sampled_from([100, 100, 50, 101]))
    def posts_hold(self, id: str, entry: str, back: int, share: int) -> None:
        assume(entry not in self._ids())
        day = self._day(back)
        whole = self.naive.holds.get(id)
        parts: dict[str, Postings] = {}
        if whole is None:
            refusal = "HOLD_ENDED" if id in self.ended else "UNKNOWN_HOLD"
        else:
            both = (_share(whole[0], share), _share(whole[1], share))
            parts = {} if share == 100 else {"part_debits": both[0], "part_credits": both[1]}
            beyond = share > 100 and both != whole
            refusal = "BEYOND_HOLD" if beyond else self.naive.refusal(day, self.today, *both, freed=id)  # type: ignore[assignment]
        if self._send(PostHold(**IN, hold=id, entry=entry, date=day, **parts), refusal) is not None:
            self.ended[id] = "posted"

    @precondition(lambda self: self.naive.holds or self.ended)
    @rule(id=hold_ids)
    def voids(self, id: str) -> None:
        refusal = None if id in self.naive.holds or self.ended.get(id) == "voided" else (
            "HOLD_ENDED" if id in self.ended else "UNKNOWN_HOLD"
        )  # fmt: skip
        if self._send(VoidHold(**IN, hold=id, reason="x"), refusal) is not None:
            self.ended[id] = "voided"

    @precondition(lambda self: self.naive.holds or self.ended)
    @rule(id=hold_ids)
    def expires(self, id: str) -> None:
        hold = state(self.given).holds.get(id)
        if hold is None:
            refusal = None if self.ended.get(id) == "expired" else "HOLD_ENDED" if id in self.ended else "UNKNOWN_HOLD"
        else:
            refusal = None if hold.expires_at is not None and hold.expires_at <= self.now else "NOT_YET_DUE"
        if self._send(ExpireHold(**IN, hold=id), refusal) is not None:
            self.ended[id] = "expired"

    # -- time ---------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.today < on(3, 1, 2028))
    @rule(hours=st.sampled_from([1, 6, 24, 24 * 9, 24 * 45]))
    def waits(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(back=st.sampled_from([0, -1, -2, -10, -40, -40]), opened_again=st.sampled_from([None, -1, -3, -20, -100]))
    def closes_days(self, back: int, opened_again: int | None) -> None:
        if opened_again is not None:
            self._open_days(self._day(opened_again))
            return
        self._close_days(self._day(back))

    def _close_days(self, day: date) -> None:
        closed = self.naive.closed or self.naive.starts - timedelta(days=1)
        refusal = None
        if day < closed:
            refusal = "PERIOD_CLOSED"
        elif day != closed and day >= self.today:
            refusal = "DATE_OUTSIDE_BOOK"
        self._send(ClosePeriod(**IN, through=day), refusal)

    def _open_days(self, day: date) -> None:
        refusal = None
        if self.naive.closed is not None and day <= self.naive.closed and self.naive.years:
            refusal = "YEAR_CLOSED" if day <= self.naive.years[-1][0] else None
        self._send(ReopenPeriod(**IN, since=day, reason="x"), refusal)

    @precondition(lambda self: self.today.year > 2026)
    @rule(year=st.sampled_from([2026, 2026, 2027]), id=ids, first=st.booleans())
    def closes_year(self, year: int, id: str, first: bool) -> None:
        assume(id not in self._ids())
        through = on(12, 31, year)
        if first:
            self._close_days(through)
        refusal = None
        if self.naive.closed is None or through > self.naive.closed:
            refusal = "PERIOD_OPEN"
        elif self.naive.years and through <= self.naive.years[-1][0]:
            refusal = "YEAR_CLOSED"
        elif year - 2026 != len(self.naive.years):
            refusal = "INVALID_RANGE"
        before = self.naive.all_balances(through)
        if self._send(CloseYear(**IN, entry=id, through=through), refusal) is not None:
            self.closings.add(id)
            after = self.naive.all_balances(through)
            results = {key for key in before if key[0] in ("dues", "gifts", "food", "rent")}
            assert not results & set(after), "the year's income and expenses are not all zero"
            for fund in self.naive.funds:
                for unit in ("EUR", "HOURS"):
                    result = sum(figure for key, figure in before.items() if key in results and key[1:] == (fund, unit))
                    net = ("net", fund, unit)
                    assert after.get(net, 0) - before.get(net, 0) == result, "net assets have another result"

    @rule(open=st.sampled_from([True, True, True, False]))
    def opens_or_closes_an_account(self, open: bool) -> None:  # noqa: A002
        if open:
            if self._send(self.naive.accounts["cash"], None) is not None:
                self.naive.gone.discard("account cash")
            return
        used = any(figure for key, figure in self.naive.all_balances().items() if key[0] == "cash")
        used = used or any(one.account == "cash" for hold in self.naive.holds.values() for side in hold for one in side)
        if self._send(CloseAccount(**IN, account="cash"), "ACCOUNT_IN_USE" if used else None) is not None:
            self.naive.gone.add("account cash")

    # -- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def the_figures_are_the_same(self) -> None:
        assert balanced(self.naive.entries)
        for day in (None, self.today, self._day(-2), self._day(-9), on(12, 31)):
            plain = {
                f"{a}/{fund}" + ("" if unit == "EUR" else f"/{unit}"): figure
                for (a, fund, unit), figure in self.naive.all_balances(day).items()
            }
            assert balances(self.given, day) == plain
        for key, guard in state(self.given).guards.items():
            assert guard.held == self.naive.held(key)

    def teardown(self) -> None:
        book = self.given.world
        for ref, found in book.states.items():
            assert book.folded_again(ref) == found, "folding again gives something else"


def _same(entry: Entry, known: Any) -> bool:
    return (entry.date, entry.debits, entry.credits, entry.fact) == (
        known.day, known.debits, known.credits, known.fact,
    )  # fmt: skip


def _share(postings: Postings, share: int) -> Postings:
    """So many hundredths of every posting, at least one minor unit."""
    return tuple(p(one.account, max(one.amount * share // 100, 1), one.fund, one.unit) for one in postings)


TestBooksAgree = BooksAgree.TestCase
TestBooksAgree.settings = settings(
    max_examples=20, stateful_step_count=60, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip
