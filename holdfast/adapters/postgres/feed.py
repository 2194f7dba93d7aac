"""One LISTEN for the whole process, fanned out. A follower holds the newest number of each run, never a queue of
events: what it missed it reads from Postgres, so a slow one costs nothing and loses nothing.
"""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

import psycopg
import structlog

from holdfast.adapters.postgres.database import Database
from schemas.base import JsonObject

_EVENTS = "holdfast_events"
_DELTAS = "holdfast_deltas"
_LONGEST_DELTA = 7000
"""A notification holds less than 8,000 bytes."""
_DELTAS_KEPT = 256
_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Delta:
    """A piece of what a model is writing. It is in no table: who was not listening does not get it."""

    run_id: str
    data: str


async def tell_delta(database: Database, *, tenant: str, run_id: str, data: JsonObject) -> None:
    """Show a piece of a model's words to whoever follows the run now."""
    text = json.dumps(data)
    if len(text.encode()) > _LONGEST_DELTA:
        return
    async with database.statement() as connection:
        await connection.execute("select pg_notify(%s, %s)", (_DELTAS, f"{tenant} {run_id} {text}"))


class Follower:
    """One stream's ear: the runs that have news, and how far each has come."""

    def __init__(self) -> None:
        self._news: dict[str, int] = {}
        self._deltas: deque[Delta] = deque(maxlen=_DELTAS_KEPT)
        self._wake = asyncio.Event()
        self._missed = False
        self.closed = False

    def tell(self, run_id: str, seq: int) -> None:
        self._news[run_id] = max(seq, self._news.get(run_id, 0))
        self._wake.set()

    def tell_delta(self, delta: Delta) -> None:
        """A slow reader loses the oldest: what counts comes again, whole, as an event."""
        self._deltas.append(delta)
        self._wake.set()

    def deltas(self) -> list[Delta]:
        """The deltas since the last call."""
        found = list(self._deltas)
        self._deltas.clear()
        return found

    def miss(self) -> None:
        """Nobody listened for a while: what was told then has to be read."""
        self._missed = True
        self._wake.set()

    def take_missed(self) -> bool:
        missed, self._missed = self._missed, False
        return missed

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def news(self, *, timeout_s: float) -> dict[str, int] | None:
        """How far runs have come since the last call; None after the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return None
        self._wake.clear()
        told, self._news = self._news, {}
        return told


class EventFeed:
    """Listens on `holdfast_events` and wakes those who follow a run, or a whole tenant."""

    def __init__(self, *, url: str) -> None:
        self._url = url
        self._followers: dict[tuple[str, str | None], set[Follower]] = defaultdict(set)
        self._listening = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Self]:
        feed = cls(url=url)
        task = asyncio.create_task(feed._run(), name="event-feed")
        try:
            yield feed
        finally:
            feed.close_followers()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @property
    def listening(self) -> bool:
        return self._listening.is_set()

    @property
    def followers(self) -> int:
        return sum(len(group) for group in self._followers.values())

    @asynccontextmanager
    async def follow(self, tenant: str, run_id: str | None) -> AsyncIterator[Follower]:
        """Follow one run, or with None the tenant. Ask Postgres once after this, then on every news."""
        follower, key = Follower(), (tenant, run_id)
        self._followers[key].add(follower)
        try:
            yield follower
        finally:
            self._followers[key].discard(follower)
            if not self._followers[key]:
                del self._followers[key]

    def close_followers(self) -> None:
        """End every stream: the process is going down, and each can be resumed elsewhere."""
        for follower in self._everyone():
            follower.close()

    def _everyone(self) -> list[Follower]:
        return [follower for group in self._followers.values() for follower in group]

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                self._listening.clear()
                wait = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
                failures += 1
                log.warning("event_feed_lost", error=type(error).__name__, wait_s=wait)
                await asyncio.sleep(wait)
            else:
                failures = 0

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=5, keepalives_idle=10, keepalives_interval=5
        )
        async with connection:
            await connection.execute("set role holdfast_app")
            await connection.execute(f"listen {_EVENTS}")
            await connection.execute(f"listen {_DELTAS}")
            self._listening.set()
            # What was told while nobody listened is in the tables: everybody reads once more.
            for follower in self._everyone():
                follower.miss()
            async for notify in connection.notifies():
                if notify.channel == _EVENTS:
                    self._pass_on(notify.payload)
                else:
                    self._pass_on_delta(notify.payload)

    def _pass_on(self, payload: str) -> None:
        tenant, run_id, seq = payload.split(" ")
        for key in ((tenant, run_id), (tenant, None)):
            for follower in self._followers.get(key, ()):
                follower.tell(run_id, int(seq))

    def _pass_on_delta(self, payload: str) -> None:
        tenant, run_id, data = payload.split(" ", 2)
        for follower in self._followers.get((tenant, run_id), ()):
            follower.tell_delta(Delta(run_id, data))
