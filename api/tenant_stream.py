"""Everything that happens in a tenant, as one stream. Events of a run keep their order; after a reconnection those of
the last moments come again, because transactions do not end in the order in which their clocks were read."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta

from holdfast.adapters.postgres.feed import EventFeed, Follower
from holdfast.adapters.postgres.readings import PostgresReadings
from schemas.access import Principal
from schemas.events import RunEvent

_AGAIN = timedelta(seconds=30)
_PAGE = 500
_RUNS_KNOWN = 20_000


class TenantStream:
    """One follower of a tenant: where it began, and how far it has told each run."""

    def __init__(self, *, readings: PostgresReadings, caller: Principal, after_us: int | None) -> None:
        self._readings = readings
        self._caller = caller
        self._resumed = after_us is not None
        self._since = datetime.now(UTC) if after_us is None else moment(after_us) - _AGAIN
        self._told: OrderedDict[str, int] = OrderedDict()

    async def events(
        self, feed: EventFeed, *, heartbeat_s: float, follow: bool = True
    ) -> AsyncGenerator[RunEvent | None]:
        """Events, and None as a heartbeat; ends with the process, or without `follow` where the story stands."""
        async with feed.follow(self._caller.tenant, None) as follower:
            if self._resumed:
                async for event in self._read(None):
                    yield event
            while follow and not follower.closed:
                told = await follower.news(timeout_s=heartbeat_s)
                if told is None:
                    yield None
                    continue
                async for event in self._news(follower, told):
                    yield event

    async def _news(self, follower: Follower, told: dict[str, int]) -> AsyncIterator[RunEvent]:
        if follower.take_missed():
            told = {}
            async for event in self._read(None):
                yield event
        for run_id, head in told.items():
            if head > self._told.get(run_id, 0):
                async for event in self._read(run_id):
                    yield event

    async def _read(self, run_id: str | None) -> AsyncIterator[RunEvent]:
        """What was not told yet: of one run, or of all."""
        since = self._since
        while True:
            page = await self._readings.tenant_events(
                self._caller.tenant,
                since=since,
                environments=self._caller.environments,
                run_id=run_id,
                after=self._told.get(run_id or "", 0),
                limit=_PAGE,
            )
            for event in page:
                if event.seq > self._told.get(event.run_id, 0):
                    self._mark(event)
                    yield event
            if len(page) < _PAGE:
                return
            since = page[-1].at - timedelta(microseconds=1) if run_id is None else since

    def _mark(self, event: RunEvent) -> None:
        self._told[event.run_id] = event.seq
        self._told.move_to_end(event.run_id)
        if len(self._told) > _RUNS_KNOWN:
            self._told.popitem(last=False)


def moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def place(event: RunEvent) -> str:
    """The id of an event in this stream: its time, in microseconds."""
    return str(round(event.at.timestamp() * 1e6))
