"""Event streams: read from Postgres, woken by the feed. A stream holds one page of events and a place in the story,
so a slow client costs a page, and any client can come back with the last number it saw."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from api.metrics import EVENTS, STREAMS
from holdfast.adapters.postgres.feed import Delta, EventFeed, Follower
from holdfast.errors import LimitReached
from schemas.events import TERMINAL_EVENT, RunEvent

_PAGE = 200


class StreamOver(Exception):
    """The run has ended, and all of its story was told: nothing will follow."""


class Story(Protocol):
    async def events(self, tenant: str, run_id: str, *, after: int, limit: int) -> Sequence[RunEvent]: ...


class Streams:
    """All streams of a process: how many there are, and what each sends."""

    def __init__(self, *, story: Story, feed: EventFeed, most: int, heartbeat_s: float) -> None:
        self._story = story
        self._feed = feed
        self._most = most
        self._heartbeat_s = heartbeat_s
        self._open = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """One of the streams this process will serve. Taken before the first byte, so that refusing is an answer."""
        if self._open >= self._most:
            raise LimitReached(
                f"This process serves {self._most} streams already.",
                remedy="Come back in a moment, or ask another replica.",
                retry_after_s=5,
            )
        self._open += 1
        STREAMS.set(self._open)
        try:
            yield
        finally:
            self._open -= 1
            STREAMS.set(self._open)

    async def run(
        self, tenant: str, run_id: str, *, after: int, follow: bool = True
    ) -> AsyncGenerator[RunEvent | Delta | None]:
        """The story of a run from there on, pieces of what its models write meanwhile, and None as a heartbeat; ends
        with the run, or with the process."""
        async with self._feed.follow(tenant, run_id) as follower:
            while True:
                last: RunEvent | None = None
                async for event in self._told(tenant, run_id, after):
                    EVENTS.inc()
                    yield event
                    last, after = event, event.seq
                if not follow or (last is not None and last.type == TERMINAL_EVENT):
                    return
                while not await self._news(follower, after):
                    if follower.closed:
                        return
                    deltas = follower.deltas()
                    for delta in deltas:
                        yield delta
                    if not deltas:
                        yield None

    async def _told(self, tenant: str, run_id: str, after: int) -> AsyncIterator[RunEvent]:
        """All events after this one that are told so far, a page at a time."""
        while page := await self._story.events(tenant, run_id, after=after, limit=_PAGE):
            for event in page:
                yield event
            after = page[-1].seq
            if len(page) < _PAGE:
                return

    async def _news(self, follower: Follower, after: int) -> bool:
        """Whether there is something to read; no after a heartbeat's time, and when the stream is to end."""
        told = await follower.news(timeout_s=self._heartbeat_s)
        if told is None or follower.closed:
            return False
        return follower.take_missed() or (bool(told) and max(told.values()) > after)
