"""Transfers through the treasury, durable: one at a time, and from many callers at once into one book."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Final

from bench import journal, ledger, pgledger
from bench.figures import Figure, against
from bench.ledger import Load
from services.treasury.contract import treasury
from services.treasury.deciders import DECIDERS

_CONNECTIONS: Final = 20
_ROUNDS: Final = 3
"""The two ledgers take turns, so that whatever else the machine does meets both; the median round counts."""


async def transfers(folder: Path) -> list[Figure]:
    """One caller, 20 and 512, over 50 accounts of one book, beside pgledger with 1 connection and with 20."""
    ours: dict[int, list[Load]] = {1: [], 20: [], 512: []}
    theirs: dict[int, list[Load]] = {1: [], _CONNECTIONS: []}
    async with (
        pgledger.peer(folder / "postgres", journal.ACCOUNTS, _CONNECTIONS) as peer,
        ledger.server(folder / "nats") as server,
        ledger.handler(server, treasury, DECIDERS) as handler,
    ):
        await journal.send(handler, journal.opening(), waiting=1, tag="opening")
        for number in range(-1, _ROUNDS):  # the first warms both
            for waiting, count in ((1, 600), (20, 4_000), (512, 20_000)):
                tag = f"{waiting}-{number}"
                commands = list(journal.transfers(count, tag=tag))
                load = await journal.send(handler, commands, waiting=waiting, tag=tag)
                if number >= 0:
                    ours[waiting].append(load)
                if peer is not None and waiting in theirs:
                    load = await peer.transfers(600 if waiting == 1 else 2_000, waiting)
                    if number >= 0:
                        theirs[waiting].append(load)
    one, peer_one = _p50(ours[1]), _p50(theirs[1])
    figures = [
        _beside("transfer_latency_p50", one, "ms", f"{pgledger.NAME}, 1 connection", peer_one, 1.4, lower=True,
                note=f"p99 {median(load.quantile(0.99) for load in ours[1]) * 1e3:.2f} ms")
    ]  # fmt: skip
    for waiting, wanted in ((20, 2.5), (512, 8)):
        note = f"p50 {_p50(ours[waiting]):.1f} ms"
        figures.append(
            _beside(f"transfers_concurrent_{waiting}", _rate(ours[waiting]), "/s",
                    f"{pgledger.NAME}, {_CONNECTIONS} connections", _rate(theirs[_CONNECTIONS]), wanted, note=note)
        )  # fmt: skip
    return figures


def _p50(loads: list[Load]) -> float:
    """Milliseconds; 0 of nothing."""
    return median(load.quantile(0.5) for load in loads) * 1e3 if loads else 0.0


def _rate(loads: list[Load]) -> float:
    return median(load.rate for load in loads) if loads else 0.0


def _beside(
    name: str, value: float, unit: str, peer: str, peer_value: float, wanted: float, *, lower: bool = False,
    note: str = "",
) -> Figure:  # fmt: skip
    """A figure beside the peer's; alone, and saying so, when the peer was not there."""
    if not peer_value:
        return Figure(name, value, unit, note=f"{note}; {pgledger.ABSENT}")
    return against(name, value, unit, peer, peer_value, wanted, lower=lower, note=note)
