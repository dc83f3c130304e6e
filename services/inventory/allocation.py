"""First-expired-first-out: from which lots goods are taken, and what taking them breaks.

Goods of a date that ends sooner go first; those without a date last, in the order in which they came. For each line the
lots are asked in turn:

    1. what the command's own reservation holds
    2. goods that may be given out and are nobody's yet
    3. goods that may be given out but are reserved for another    (refused while it can still be stopped)
    4. goods that may not be given out                             (refused while it can still be stopped)
    5. what then is missing left beyond the ledger: found and gone in one moment, from an unknown lot

A late taking counts only what was there at every moment since, so no later figure falls below zero because of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, TypedDict

from services.inventory.basis import Basis
from services.inventory.contract import Breach, FreedLine, Freeing, InventoryError, LotRef, PickLine, lot_form
from services.inventory.rules import freed_of, name_of, usable_until
from services.inventory.shelf import Row
from services.inventory.timeline import moment_of
from shared.errors import Rejected

REFUSAL: Final = {
    Breach.RECALLED: InventoryError.LOT_RECALLED,
    Breach.QUARANTINED: InventoryError.LOT_QUARANTINED,
    Breach.HELD: InventoryError.LOT_HELD,
    Breach.EXPIRED: InventoryError.LOT_EXPIRED,
}
"""The refusal for goods that may not be given out, by what is wrong with them."""

_PRECEDENCE: Final[dict[str, int]] = {code: place for place, code in enumerate(InventoryError)}
_WHY: Final = {
    Breach.RECALLED: "is recalled",
    Breach.QUARANTINED: "is in quarantine",
    Breach.HELD: "is on hold",
    Breach.EXPIRED: "is past its date",
}


class Told(TypedDict):
    """What `basis.effect` is told of a taking, beside the changes."""

    unrecorded: int
    freed: tuple[FreedLine, ...]
    breaches: set[Breach]
    short_at: datetime | None


@dataclass(slots=True)
class Drawing:
    """What a command takes, lot by lot.

    `live` refuses what can still be stopped. `any_state` takes goods that may not be given out as readily as others
    (to dispose of them, return them, or move them to quarantine), and before them when `unfit_first`.
    """

    basis: Basis
    live: bool = False
    any_state: bool = False
    unfit_first: bool = False
    taken: dict[str, int] = field(default_factory=dict)
    unrecorded: int = 0
    freed: dict[tuple[str, str, Freeing], int] = field(default_factory=dict)
    breaches: set[Breach] = field(default_factory=set)
    short_at: int | None = None
    refusals: list[Rejected] = field(default_factory=list)
    _unreserved: dict[str, int] = field(default_factory=dict)
    _named: list[tuple[PickLine, Row]] = field(default_factory=list)

    # -- what there is --------------------------------------------------------------------------------------------

    def there(self, key: str, row: Row) -> int:
        """What can be taken of a lot without any later moment falling below zero."""
        return row.timeline.minimum_from(self.basis.moment) - self.taken.get(key, 0)

    def spare(self, key: str, row: Row) -> int:
        """What is on hand now beyond what is reserved."""
        return row.on_hand - self.taken.get(key, 0) - row.reserved + self._unreserved.get(key, 0)

    def free(self, key: str, row: Row) -> int:
        return min(self.there(key, row), self.spare(key, row))

    def matching(self, line: PickLine) -> list[tuple[str, Row]]:
        """The lots on the shelf that a line may take from, first-expired first."""
        found = [(key, row) for key, row in self.basis.stock.shelf() if matches(line, row)]
        if len(found) > 1:
            found.sort(key=lambda pair: self._order(pair[1]))
        return found

    def _order(self, row: Row) -> tuple[bool, date, int]:
        late = self.unfit_first and self.basis.unfit(row) is None
        return late, usable_until(row.ref, self.basis.facts) or date.max, row.since

    # -- taking ---------------------------------------------------------------------------------------------------

    def take(self, lines: Iterable[PickLine], reservation: str | None = None, keep_rest: bool = False) -> None:
        """Take all lines, from a reservation first."""
        if self.basis.absorbed_by is not None:
            for line in lines:
                self._take_from_the_past(line)
            self._refuse()
            if reservation is not None and not keep_rest:
                self._release(reservation)
            return
        wanted = [(line, line.quantity) for line in lines]
        if reservation is not None:
            wanted = [(line, left - self._take_own(line, left, reservation)) for line, left in wanted]
            if not keep_rest:
                self._release(reservation)
        for line, left in wanted:
            self._take_line(line, left)
        self._check_order()
        self._refuse()

    def take_all_of(self, reservation: str) -> None:
        """Take everything that a reservation holds."""
        stock = self.basis.stock
        for key, quantity in list(stock.reservations[reservation].lots.items()):
            row = stock.rows[key]
            self._judge(row)
            part = quantity if self.basis.absorbed_by else min(quantity, self.there(key, row))
            self._use(reservation, key, part)
            if part < quantity:
                self._beyond(quantity - part, [(key, row)])
                self._use_reserved(reservation, key, quantity - part)
        self._refuse()

    def _take_own(self, line: PickLine, left: int, reservation: str) -> int:
        stock, took = self.basis.stock, 0
        lots = stock.reservations[reservation].lots
        for key, row in self.matching(line):
            used = self.freed.get((reservation, key, Freeing.USED), 0)
            part = min(left - took, lots.get(key, 0) - used, self.there(key, row))
            if part > 0:
                self._judge(row)
                self._use(reservation, key, part)
                took += part
        return took

    def _use(self, reservation: str, key: str, quantity: int) -> None:
        self.taken[key] = self.taken.get(key, 0) + quantity
        self._use_reserved(reservation, key, quantity)

    def _use_reserved(self, reservation: str, key: str, quantity: int) -> None:
        self._free(reservation, key, quantity, Freeing.USED)

    def _release(self, reservation: str) -> None:
        for key, quantity in self.basis.stock.reservations[reservation].lots.items():
            rest = quantity - self.freed.get((reservation, key, Freeing.USED), 0)
            self._free(reservation, key, rest, Freeing.RELEASED)

    def _take_line(self, line: PickLine, left: int) -> None:
        if not left:
            return
        rows = self.matching(line)
        fit = [(key, row) for key, row in rows if self.any_state or self.basis.unfit(row) is None]
        for key, row in fit:
            left -= self._take_part(line, key, row, min(left, self.free(key, row)))
        for key, row in fit:
            if left and self.there(key, row) > 0:
                self._refuse_reserved(line, left)
                left -= self._take_part(line, key, row, min(left, self.there(key, row)))
        for key, row in rows:
            if left and self.there(key, row) > 0:
                self._judge(row)
                left -= self._take_part(line, key, row, min(left, self.there(key, row)))
        if left:
            self._beyond(left, rows)

    def _take_part(self, line: PickLine, key: str, row: Row, quantity: int) -> int:
        if quantity <= 0:
            return 0
        over = quantity - max(self.spare(key, row), 0)
        if over > 0:
            self.take_reserved(key, over)
        self.taken[key] = self.taken.get(key, 0) + quantity
        if line.lot is not None or line.date is not None:
            self._named.append((line, row))
        return quantity

    def take_reserved(self, key: str, quantity: int) -> None:
        """Take what is reserved, from the newest reservations first."""
        self.breaches.add(Breach.RESERVED_TAKEN)
        for id, reservation in reversed(self.basis.stock.reservations.items()):
            held = reservation.lots.get(key, 0)
            for why in Freeing:
                held -= self.freed.get((id, key, why), 0)
            part = min(held, quantity)
            if part > 0:
                self._free(id, key, part, Freeing.TAKEN)
                quantity -= part
            if not quantity:
                return

    def _take_from_the_past(self, line: PickLine) -> None:
        """A taking that an approved count came after: no balance is asked, and what is not named is not known. What
        is known of a lot that was named is judged."""
        rows = self.basis.stock.rows
        keys = [key for key, row in rows.items() if line.lot is not None and matches(line, row)]
        key = keys[0] if len(keys) == 1 else lot_form(line.lot)
        if line.lot is not None:
            named = LotRef(lot=line.lot if lot_form(line.lot) else None, date=line.date, owner=line.owner)
            self._judge(rows[key] if len(keys) == 1 else Row(named, 0))
        self.taken[key] = self.taken.get(key, 0) + line.quantity

    def _free(self, reservation: str, key: str, quantity: int, why: Freeing) -> None:
        if quantity > 0:
            self.freed[reservation, key, why] = self.freed.get((reservation, key, why), 0) + quantity
            self._unreserved[key] = self._unreserved.get(key, 0) + quantity

    def _beyond(self, quantity: int, rows: Iterable[tuple[str, Row]]) -> None:
        """What left though the ledger does not have it; and since when the ledger falls short of it."""
        self.unrecorded += quantity
        self.breaches.add(Breach.BEYOND_LEDGER)
        moments = [self.basis.moment] if self.short_at is None else [self.short_at]
        falls = [row.timeline.first_below(self.basis.moment, self.taken.get(key, 0) + 1) for key, row in rows]
        later = [fall[0] for fall in falls if fall is not None]
        self.short_at = min(later) if later else moments[0]

    # -- refusing -------------------------------------------------------------------------------------------------

    def _judge(self, row: Row) -> None:
        breach = None if self.any_state else self.basis.unfit(row)
        if breach is None:
            return
        if self.live:
            self.refusals.append(unfit(self.basis, row, breach))
        self.breaches.add(breach)

    def _refuse_reserved(self, line: PickLine, left: int) -> None:
        if not self.live:
            return
        free = line.quantity - left
        refusal = Rejected(
            InventoryError.STOCK_RESERVED,
            f"Of {line.quantity:,} asked for, {free:,} are free; what else is there is reserved for others. Take less, "
            "issue against the reservation, or, if the goods have left already, send already_left.",
            quantity=line.quantity,
            free=free,
        )
        self.refusals.append(refusal)

    def _refuse(self) -> None:
        """Refuse for the first reason in the order of precedence, if there is one."""
        if self.refusals:
            raise min(self.refusals, key=lambda refusal: _PRECEDENCE[refusal.code])

    def _check_order(self) -> None:
        """A lot that was named must not leave another behind that ends sooner, unless the line says why."""
        if self.any_state:
            return
        for line, row in self._named:
            if line.reason is not None:
                continue
            end = usable_until(row.ref, self.basis.facts) or date.max
            for key, other in self.basis.stock.shelf():
                sooner = usable_until(other.ref, self.basis.facts)
                if sooner is None or sooner >= end or other.ref.owner != row.ref.owner or self.free(key, other) <= 0:
                    continue
                if self.basis.unfit(other) is not None:
                    continue
                if self.live:
                    refusal = Rejected(
                        InventoryError.LOT_OUT_OF_ORDER,
                        f"{_capital(name_of(other.ref))} ends before {name_of(row.ref)} and is still there. "
                        "Take it first, or give the line a reason.",
                        first=other.ref.lot, ends=sooner.isoformat(), lot=row.ref.lot,
                    )  # fmt: skip
                    self.refusals.append(refusal)
                self.breaches.add(Breach.OUT_OF_ORDER)
                break

    # -- telling --------------------------------------------------------------------------------------------------

    def freed_lines(self) -> tuple[FreedLine, ...]:
        """What is no longer reserved."""
        rows = self.basis.stock.rows
        return tuple(
            freed_of(rows[key].ref, quantity, reservation, why)
            for (reservation, key, why), quantity in self.freed.items()
        )

    def changes(self) -> dict[str, int]:
        return {key: -quantity for key, quantity in self.taken.items()}

    def told(self) -> Told:
        """The fields of a movement that follow from the taking."""
        return {
            "unrecorded": self.unrecorded,
            "freed": self.freed_lines(),
            "breaches": self.breaches,
            "short_at": None if self.short_at is None else moment_of(self.short_at),
        }


def matches(line: PickLine, row: Row) -> bool:
    """Whether a line may take from a lot."""
    ref = row.ref
    return (
        (line.lot is None or lot_form(line.lot) == lot_form(ref.lot))
        and (line.date is None or line.date == ref.date)
        and (line.owner is None or line.owner == ref.owner)
    )


def unfit(basis: Basis, row: Row, breach: Breach) -> Rejected:
    """The refusal for goods that may not be given out."""
    recalls = basis.lots.recalled(row.ref)
    which = f" ({', '.join(recalls[:3])})" if recalls else ""
    return Rejected(
        REFUSAL[breach],
        f"{_capital(name_of(row.ref))} {_WHY[breach]}{which}. It can be disposed of, returned or moved to quarantine. "
        "If it has left already, send already_left.",
        lot=row.ref.lot,
        date=row.ref.date.isoformat() if row.ref.date else None,
        recalls=recalls[:20],
        holds=row.holds[:20],
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
