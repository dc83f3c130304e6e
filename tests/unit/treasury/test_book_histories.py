"""Whatever the history, the books hold: their events, read again by the plainest consumer, break no rule unseen."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.treasury.contract import (
    Breach,
    ClosePeriod,
    CloseYear,
    EntriesPosted,
    Entry,
    EntryPosted,
    EntryReversed,
    ExpireHold,
    HoldPlaced,
    HoldPosted,
    Journal,
    OpenAccount,
    OpenFund,
    PlaceHold,
    PostEntries,
    PostEntry,
    PostHold,
    ReopenPeriod,
    ReverseEntry,
    TreasuryError,
    VoidHold,
    YearClosed,
    entries_of,
)
from services.treasury.lines import Guard
from shared.decider import Ref
from shared.errors import Rejected
from tests.support import treasury
from tests.support.sentences import NOW, Given, World
from tests.support.treasury import IN, balances, donation, held, on, release, state
from tests.unit.treasury.generated import BEGINNING, amounts, backdated, flags, funds, hold_ids, ids, sides
from tests.unit.treasury.naive import RESULT, NaiveBook, Postings, balanced

CLUB = Ref("book", "club")
Step = tuple[str, Any]
quickly = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

one_of_many = st.tuples(ids, sides(), backdated, flags)
step = st.one_of(
    st.tuples(st.just("post"), one_of_many),
    st.tuples(st.just("post"), one_of_many),
    st.tuples(st.just("many"), st.lists(one_of_many, min_size=1, max_size=4)),
    st.tuples(st.just("hold"), st.tuples(hold_ids, sides(), st.sampled_from([None, 5, 50]))),
    st.tuples(st.just("post hold"), st.tuples(hold_ids, ids, backdated)),
    st.tuples(st.just("end hold"), st.tuples(hold_ids, st.booleans())),
    st.tuples(st.just("reverse"), st.tuples(st.integers(0, 99), ids, backdated, flags)),
    st.tuples(st.just("give"), st.tuples(ids, amounts, funds)),
    st.tuples(st.just("release"), st.tuples(ids, amounts, st.sampled_from(["youth", "grant", "later"]), backdated)),
    st.tuples(st.just("close"), st.sampled_from([-1, -5, -30])),
    st.tuples(st.just("open"), st.sampled_from([-5, -30])),
    st.tuples(st.just("year"), st.tuples(ids, st.sampled_from([2026, 2027]))),
    st.tuples(st.just("wait"), st.sampled_from([1, 24, 24 * 30, 24 * 100])),
)
history = st.lists(step, min_size=6, max_size=30)


def entry_of(one: tuple[str, tuple[Postings, Postings], int, bool], today: date) -> Entry:
    id, (debits, credits), back, fact = one  # noqa: A001
    return Entry(entry=id, date=today + timedelta(days=back), debits=debits, credits=credits, fact=fact)


def commands(step: Step, now: Any, world: World) -> list[Any]:
    """The commands of one step, now."""
    what, more = step
    today = now.date()
    match what:
        case "post":
            one = entry_of(more, today)
            return [
                PostEntry(**IN, entry=one.entry, date=one.date, debits=one.debits, credits=one.credits, fact=one.fact)
            ]
        case "many":
            return [PostEntries(**IN, entries=tuple(entry_of(one, today) for one in more))]
        case "hold":
            ends = None if more[2] is None else now + timedelta(hours=more[2])
            return [PlaceHold(**IN, hold=more[0], debits=more[1][0], credits=more[1][1], expires_at=ends)]
        case "post hold":
            return [PostHold(**IN, hold=more[0], entry=more[1], date=today + timedelta(days=more[2]))]
        case "end hold":
            return [VoidHold(**IN, hold=more[0], reason="x") if more[1] else ExpireHold(**IN, hold=more[0])]
        case "reverse":
            nth, by, back, fact = more
            posted = [one.id for one in read_again(world).entries]
            day = today + timedelta(days=back) if fact else None
            return [ReverseEntry(**IN, entry=by, reverses=posted[nth % len(posted)], date=day, reason="x", fact=fact)]
        case "give":
            return [donation(more[1], more[0], more[2])]
        case "release":
            return [release(more[1], more[0], more[2], date=today + timedelta(days=more[3]))]
        case "close":
            return [ClosePeriod(**IN, through=today + timedelta(days=more))]
        case "open":
            return [ReopenPeriod(**IN, since=today + timedelta(days=more), reason="x")]
        case _:
            id, year = more
            through = on(12, 31, year)
            return [ClosePeriod(**IN, through=through), CloseYear(**IN, entry=id, through=through)]


def run(steps: list[Step]) -> World:
    """Send everything that was generated to the club; what is refused is refused. What was carried out is so once."""
    world, now = treasury.given(*BEGINNING).world, NOW
    for one in steps:
        if one[0] == "wait":
            now += timedelta(hours=one[1])
            continue
        for command in commands(one, now, world):
            try:
                event = world.decide(command, now, "sam", None)
            except Rejected:
                continue
            if event is not None:
                world = world.after(event)
                if not isinstance(event, EntriesPosted) or not event.not_posted:
                    assert world.decide(command, now, "sam", None) is None, "carried out twice"
    return world


def read_again(world: World) -> NaiveBook:
    """The book of the events, with nothing looked into."""
    book = empty()
    for event in world.history[CLUB]:
        book.note(event)
    return book


def empty() -> NaiveBook:
    return NaiveBook(
        accounts={one.account: one for one in BEGINNING if isinstance(one, OpenAccount)},
        funds={one.fund: one for one in BEGINNING if isinstance(one, OpenFund)}, units={"EUR", "HOURS"},
        starts=on(1, 1),
    )  # fmt: skip


# -- every event, as it came ------------------------------------------------------------------------------------------


@quickly
@given(history)
def test_no_rule_is_broken_unless_the_event_of_a_fact_says_so(steps: list[Step]) -> None:
    """No limit on any day, ties by revision, what is held counted; no purpose, no closed day, and no balance."""
    book = empty()
    for event in run(steps).history[CLUB]:
        if isinstance(event, HoldPlaced):
            day = max(entry.day for entry in book.entries)
            assert not [code for code in book.broken(day, event.debits, event.credits) if code.endswith("_LIMIT")]
            assert not any(map(book.misspent, event.debits))
        if isinstance(event, EntriesPosted):
            for entry in entries_of(event):
                look_at(book, entry, event.breaches, fact=entry.fact, spending=True)
                book.note(EntriesPosted(book="club", entries=(entry,)))
            continue
        if isinstance(event, Journal):
            closing = isinstance(event, YearClosed) or (isinstance(event, EntryReversed) and event.closing)
            if closing:
                assert book.closed is not None and event.date <= book.closed
            look_at(
                book, event, event.breaches, fact=isinstance(event, YearClosed) or getattr(event, "fact", False),
                spending=isinstance(event, EntryPosted | HoldPosted), closing=closing,
                freed=event.hold if isinstance(event, HoldPosted) else None,
            )  # fmt: skip
        book.note(event)
    assert balanced(book.entries)


def look_at(
    book: NaiveBook, entry: Any, breaches: tuple[Breach, ...], *, fact: bool, spending: bool, closing: bool = False,
    freed: str | None = None,
) -> None:  # fmt: skip
    """Whether an entry may come next, and whether its breaches are all that it breaks."""
    assert closing or book.closed is None or entry.date > book.closed
    broken = book.broken(entry.date, entry.debits, entry.credits, freed)
    misspent = [one.account for one in entry.debits if spending and book.misspent(one)]
    said = [one for one in breaches if one.entry == entry.entry]
    assert broken == ([one.code for one in said if one.code is not TreasuryError.FUND_PURPOSE] if fact else [])
    assert misspent == ([one.account for one in said if one.code is TreasuryError.FUND_PURPOSE] if fact else [])
    for one in said:
        if one.code in (TreasuryError.BREAKS_LATER_DAY, TreasuryError.ACCOUNT_LIMIT, TreasuryError.FUND_LIMIT):
            key = ("account" if one.account else "fund", one.account or one.fund or "", one.unit)
            change = book.effect(key, entry.debits, entry.credits)
            assert one.limit == book.floor(key)
            assert one.balance < one.limit
            figures = [figure + change for when, figure in book.moments(key, entry.date) if when == one.date]
            now = [figure + change for _, figure in book.moments(key, entry.date)][-1] - book.held(key, freed)
            assert one.balance in (*figures, now)


@quickly
@given(history)
def test_the_state_is_what_the_events_add_up_to(steps: list[Step]) -> None:
    world = run(steps)
    book = read_again(world)
    days = sorted({entry.day for entry in book.entries})
    for day in (None, *days[:2], *days[-4:]):
        plain = {
            f"{account}/{fund}" + ("" if unit == "EUR" else f"/{unit}"): figure
            for (account, fund, unit), figure in book.all_balances(day).items()
        }
        assert balances(Given(world), day) == plain
    for key, guard in world.state(CLUB).guards.items():
        assert guard.balance == sum(book.effect(key, entry.debits, entry.credits) for entry in book.entries)
        assert guard.held == book.held(key)


@quickly
@given(history)
def test_the_same_events_give_the_same_state_whenever_they_are_folded(steps: list[Step]) -> None:
    """No balance reads the clock: a hold that is over counts until an event ends it."""
    world = run(steps)
    assert world.folded_again(CLUB) == world.state(CLUB)


# -- taken back -------------------------------------------------------------------------------------------------------


def figures(world: World) -> Any:
    """What of a book's state says how much there is."""
    book = world.state(CLUB)
    lines = {key: line.balance for key, line in book.lines.items() if line.balance}
    return lines, {key: (guard.balance, guard.held) for key, guard in book.guards.items() if guard != Guard()}


@quickly
@given(history, sides(), st.booleans())
def test_a_hold_that_ends_unposted_restores_everything(steps: list[Step], both: Any, voided: bool) -> None:
    before = Given(run(steps))
    late = NOW + timedelta(days=2000)
    place = PlaceHold(**IN, hold="x", debits=both[0], credits=both[1], expires_at=late + timedelta(hours=1))
    asked = before.when(place, now=late)
    if asked.refusal is not None:
        return
    end = VoidHold(**IN, hold="x", reason="x") if voided else ExpireHold(**IN, hold="x")
    after = asked.then(HoldPlaced).when(end, now=late + timedelta(hours=1)).then_event()
    assert figures(after.world) == figures(before.world)
    assert state(after).lines == state(before).lines


@quickly
@given(history, st.integers(0, 99))
def test_a_reversal_undoes_an_entry_and_is_never_reversed_itself(steps: list[Step], nth: int) -> None:
    before = Given(run(steps))
    late = NOW + timedelta(days=2000)
    posted = [one.id for one in read_again(before.world).entries]
    take_back = ReverseEntry(**IN, entry="x", reverses=posted[nth % len(posted)], reason="x", fact=True)
    asked = before.when(take_back, now=late)
    if asked.refusal is not None:
        return
    undone = asked.then(EntryReversed)
    undone.when(replace(take_back, entry="y", reverses="x"), now=late).then_rejected(TreasuryError.NOT_REVERSIBLE)
    undone.when(replace(take_back, entry="y"), now=late).then_rejected(TreasuryError.ALREADY_REVERSED)
    was, taken = read_again(before.world), undone.world.history[CLUB][-1]
    for account, fund, unit in {(one.account, one.fund, one.unit) for one in (*taken.debits, *taken.credits)}:
        (entry,) = (one for one in was.entries if one.id == taken.reverses)
        changed = NaiveBook({}, {}, set(), on(1, 1), entries=[entry]).balance(account, fund, unit)
        after = read_again(undone.world).balance(account, fund, unit)
        assert after == was.balance(account, fund, unit) - changed


@quickly
@given(history)
def test_a_year_is_closed_exactly(steps: list[Step]) -> None:
    """Every income and expense is zero at its end, and each fund's net assets took exactly what they were."""
    before = Given(run(steps))
    late = NOW + timedelta(days=2000)
    years = [through.year for through, _ in state_years(before)]
    through = on(12, 31, max(years, default=2025) + 1)
    closed = before.when(ClosePeriod(**IN, through=through), now=late)
    ready = before if closed.refusal is not None or closed.event is None else closed.then_event()
    after = ready.when(CloseYear(**IN, entry="x", through=through), now=late).then(YearClosed)
    book = read_again(ready.world)
    was, then = book.all_balances(through), read_again(after.world).all_balances(through)
    kinds = {id: account.kind for id, account in book.accounts.items()}
    assert not [key for key in then if kinds[key[0]] in RESULT]
    moved = {key: then.get(key, 0) - was.get(key, 0) for key in {*was, *then} if kinds[key[0]] not in RESULT}
    results: dict[tuple[str, str], int] = {}
    for (account, fund, unit), figure in was.items():
        if kinds[account] in RESULT:
            results[fund, unit] = results.get((fund, unit), 0) + figure
    assert {key: change for key, change in moved.items() if change} == {
        ("net", fund, unit): result for (fund, unit), result in results.items() if result
    }


def state_years(given: Given) -> list[tuple[date, str]]:
    return [(date.fromordinal(day), entry) for day, entry in state(given).years]


# -- many at once -----------------------------------------------------------------------------------------------------


@st.composite
def chains(draw: st.DrawFn) -> list[list[Entry]]:
    """Entries in chains of one to three."""
    found = []
    for _ in range(draw(st.integers(1, 6))):
        chain = [entry_of(draw(one_of_many), NOW.date()) for _ in range(draw(st.sampled_from([1, 1, 2, 3])))]
        found.append([*(replace(one, linked=True) for one in chain[:-1]), chain[-1]])
    return found


def said(given: Given, entries: list[Entry]) -> tuple[list[str], list[Breach], Given]:
    """What becomes of each entry of a request, what facts broke, and what is then given."""
    asked = given.when(PostEntries(**IN, entries=tuple(entries)))
    assert asked.refusal is None
    if asked.event is None:
        return ["already_posted"] * len(entries), [], given
    found = ["posted"] * len(entries)
    for one in asked.event.not_posted:
        found[one.at] = str(one.code or one.field or one.result)
    return found, list(asked.event.breaches), asked.then(EntriesPosted)


@quickly
@given(history, chains(), st.lists(st.booleans(), min_size=6, max_size=6))
def test_a_request_is_answered_alike_however_it_is_cut(
    steps: list[Step], links: list[list[Entry]], cuts: list[bool]
) -> None:
    start = Given(run(steps))
    whole, whole_breaches, at_once = said(start, [entry for chain in links for entry in chain])
    results: list[str] = []
    breaches: list[Breach] = []
    cut, part = start, []
    for at, chain in enumerate(links):
        part += chain
        if cuts[at] or at == len(links) - 1:
            found, more, cut = said(cut, part)
            results, breaches, part = results + found, breaches + more, []
    assert (results, breaches) == (whole, whole_breaches)
    assert (balances(cut), held(cut)) == (balances(at_once), held(at_once))


@quickly
@given(history, st.lists(one_of_many, min_size=1, max_size=6))
def test_many_entries_become_what_each_would_have_become_alone(steps: list[Step], lines: list[Any]) -> None:
    start = Given(run(steps))
    entries = [entry_of(one, NOW.date()) for one in lines]
    results, breaches, at_once = said(start, entries)
    alone, broke = start, []
    for entry, result in zip(entries, results, strict=True):
        command = PostEntry(
            **IN, entry=entry.entry, date=entry.date, debits=entry.debits, credits=entry.credits, fact=entry.fact
        )
        asked = alone.when(command)
        if asked.refusal is not None:
            code = str(asked.refusal.code)
            if code == TreasuryError.ENTRY_EXISTS:
                code = asked.refusal.facts.get("field", TreasuryError.ALREADY_REVERSED)
            assert result == code
        elif asked.event is None:
            assert result == "already_posted"
        else:
            assert result == "posted"
            broke += asked.event.breaches
            alone = asked.then(EntryPosted)
    assert broke == breaches
    assert balances(alone) == balances(at_once)
