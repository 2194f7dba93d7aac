"""Event streams: read from Postgres, woken by the feed. A stream holds one page of events and a place in the story,
so a slow client costs a page, and any client can come back with the last number it saw."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from api.crowd import Places
from api.metrics import EVENTS, STREAMS
from holdfast.adapters.postgres.feed import Delta, EventFeed, Follower
from schemas.events import TERMINAL_EVENT, RunEvent

_PAGE = 200


class StreamOver(Exception):
    """The run has ended, and all of its story was told: nothing will follow."""


class Story(Protocol):
    def events(
        self, tenant: str, run_id: str, *, after: int, limit: int
    ) -> Coroutine[None, None, Sequence[RunEvent]]: ...


class Streams:
    """All streams of a process: how many there are, and what each sends."""

    def __init__(self, *, story: Story, feed: EventFeed, most: int, heartbeat_s: float) -> None:
        self._story = story
        self._feed = feed
        self._heartbeat_s = heartbeat_s
        self._places = Places(most, what="streams")
        self._asked: dict[tuple[str, str, int], asyncio.Task[Sequence[RunEvent]]] = {}

    @contextmanager
    def slot(self, tenant: str) -> Iterator[None]:
        """One of the streams this process will serve. Taken before the first byte, so that refusing is an answer."""
        try:
            with self._places.one(tenant):
                STREAMS.set(self._places.taken)
                yield
        finally:
            STREAMS.set(self._places.taken)

    async def run(
        self, tenant: str, run_id: str, *, after: int, follow: bool = True
    ) -> AsyncGenerator[RunEvent | Delta | None]:
        """The story of a run from there on, pieces of what its models write meanwhile, and None as a heartbeat; ends
        with the run, or with the process."""
        head = 0
        async with self._feed.follow(tenant, run_id) as follower:
            while True:
                last: RunEvent | None = None
                async for event in self._told(tenant, run_id, after):
                    EVENTS.inc()
                    yield event
                    last, after = event, event.seq
                if not follow or (last is not None and last.type == TERMINAL_EVENT):
                    return
                if after < head:
                    continue  # the page was asked for by somebody else, before this event was told
                while (news := await self._news(follower, after)) is None:
                    if follower.closed:
                        return
                    for delta in follower.deltas() or (None,):
                        yield delta
                head = news

    async def _told(self, tenant: str, run_id: str, after: int) -> AsyncIterator[RunEvent]:
        """All events after this one that are told so far, a page at a time."""
        while page := await self._page(tenant, run_id, after):
            for event in page:
                yield event
            after = page[-1].seq
            if len(page) < _PAGE:
                return

    async def _page(self, tenant: str, run_id: str, after: int) -> Sequence[RunEvent]:
        """Streams that stand at the same place share one question: an event wakes all of them at once."""
        place = (tenant, run_id, after)
        asked = self._asked.get(place)
        if asked is None:
            asked = asyncio.create_task(self._story.events(tenant, run_id, after=after, limit=_PAGE))
            self._asked[place] = asked
            asked.add_done_callback(lambda _: self._asked.pop(place))
        return await asyncio.shield(asked)

    async def _news(self, follower: Follower, after: int) -> int | None:
        """How far the run has come, if that is further than this; None after a heartbeat's time, when a model wrote
        something, and when the stream is to end."""
        told = await follower.news(timeout_s=self._heartbeat_s)
        if told is None or follower.closed:
            return None
        if follower.take_missed():
            return after
        head = max(told.values(), default=0)
        return head if head > after else None
