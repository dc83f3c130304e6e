"""The peer: the `eventsourcing` library (version 9.5) on the same PostgreSQL, fsync on."""

from __future__ import annotations

import random
import threading
import time
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

NAME = "eventsourcing"


class Shelf(Aggregate):
    """The same state and the same sum as bench/toy.py."""

    @event("Opened")
    def __init__(self) -> None:
        self.quantity = 0
        self.lots: dict[str, int] = {}

    @event("GoodsPut")
    def put(self, lot: str, quantity: int) -> None:
        self.quantity += quantity
        self.lots[lot] = self.lots.get(lot, 0) + quantity


class Peer:
    """The peer's application over a database, with aggregates that exist already and a cache of them."""

    def __init__(self, database_url: str, aggregates: int) -> None:
        url = urlsplit(database_url)
        self.app: Application[UUID] = Application(
            env={
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": url.path.strip("/"),
                "POSTGRES_HOST": url.hostname or "",
                "POSTGRES_PORT": str(url.port),
                "POSTGRES_USER": url.username or "",
                "POSTGRES_PASSWORD": url.password or "",
                "POSTGRES_POOL_SIZE": "10",
                "AGGREGATE_CACHE_MAXSIZE": "20000",
            }
        )
        self.ids: list[UUID] = []
        for start in range(0, aggregates, 500):
            made = [Shelf() for _ in range(min(500, aggregates - start))]
            self.app.save(*made)
            self.ids.extend(a.id for a in made)

    def one_at_a_time(self, commands: int) -> list[float]:
        """Seconds of each of some commands, one after another: load from the cache, decide, save."""
        seconds = []
        for _ in range(commands):
            began = time.perf_counter()
            self._put(random.choice(self.ids))
            seconds.append(time.perf_counter() - began)
        return seconds

    def concurrent(self, commands: int, threads: int) -> float:
        """Commands a second from several threads, each with aggregates of its own, so that none conflicts."""
        shares = [self.ids[n::threads] for n in range(threads)]

        def work(ids: list[UUID]) -> None:
            for _ in range(commands // threads):
                self._put(random.choice(ids))

        workers = [threading.Thread(target=work, args=(ids,)) for ids in shares]
        began = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return commands / (time.perf_counter() - began)

    def fill(self, events: int) -> None:
        """Events of a few aggregates, for reading back."""
        for start in range(0, events, 5000):
            aggregate: Any = self.app.repository.get(self.ids[start // 5000 % len(self.ids)])
            for _ in range(5000):
                aggregate.put("L1", 5)
            self.app.save(aggregate)

    def read_back(self, limit: int) -> float:
        """Events a second, read in notification order and decoded into domain events."""
        began, read, start = time.perf_counter(), 0, 1
        mapper, recorder = self.app.mapper, self.app.recorder
        while read < limit:
            page = recorder.select_notifications(start, 5000)
            if not page:
                break
            for notification in page:
                mapper.to_domain_event(notification)
            read += len(page)
            start = page[-1].id + 1
        return read / (time.perf_counter() - began)

    def _put(self, id_: UUID) -> None:
        aggregate: Any = self.app.repository.get(id_)
        aggregate.put("L1", 5)
        self.app.save(aggregate)

    def close(self) -> None:
        self.app.close()
