"""One LISTEN for the whole process, fanned out. A follower holds the newest number of each run, never a queue of
events: what it missed it reads from Postgres, so a slow one costs nothing and loses nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

import psycopg
import structlog

_CHANNEL = "holdfast_events"
_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)

log = structlog.get_logger(__name__)


class Follower:
    """One stream's ear: the runs that have news, and how far each has come."""

    def __init__(self) -> None:
        self._news: dict[str, int] = {}
        self._wake = asyncio.Event()
        self.closed = False

    def tell(self, run_id: str, seq: int) -> None:
        self._news[run_id] = max(seq, self._news.get(run_id, 0))
        self._wake.set()

    def wake(self) -> None:
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def news(self, *, timeout_s: float) -> dict[str, int] | None:
        """How far runs have come since the last call; empty when everything should be read again, None after the
        timeout."""
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
            await connection.execute(f"listen {_CHANNEL}")
            self._listening.set()
            # What was told while nobody listened is in the tables: everybody reads once more.
            for follower in self._everyone():
                follower.wake()
            async for notify in connection.notifies():
                self._pass_on(notify.payload)

    def _pass_on(self, payload: str) -> None:
        tenant, run_id, seq = payload.split(" ")
        for key in ((tenant, run_id), (tenant, None)):
            for follower in self._followers.get(key, ()):
                follower.tell(run_id, int(seq))
