"""Everything that happens in a tenant, as one stream."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator

from holdfast.client.sse import ServerEvent, lines_of, read_events
from holdfast.client.wire import Wire, wait_s
from holdfast.errors import HoldfastError
from schemas.events import RunEvent

_PATIENCE = 30
_RUNS_KNOWN = 20_000


class EventsClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def follow(self, *, last_id: str | None = None) -> AsyncIterator[RunEvent]:
        """Events of all runs from now on, or from an id of this stream; each once, those of a run in their order, across
        lost connections and restarted servers. It does not end."""
        seen: OrderedDict[str, int] = OrderedDict()
        failures = 0
        while True:
            try:
                async for sent in self._stream(last_id):
                    last_id, failures = sent.id, 0
                    event = RunEvent.model_validate_json(sent.data)
                    if event.seq > seen.get(event.run_id, 0):
                        _mark(seen, event)
                        yield event
            except HoldfastError as error:
                failures += 1
                if not error.retryable or failures >= _PATIENCE:
                    raise
                await asyncio.sleep(wait_s(failures, error.retry_after_s))
                continue
            await asyncio.sleep(wait_s(0, None))

    async def _stream(self, last_id: str | None) -> AsyncIterator[ServerEvent]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
        async with self._wire.stream("/v1/events", query={}, headers=headers) as response:
            async for event in read_events(lines_of(response.aiter_text())):
                yield event


def _mark(seen: "OrderedDict[str, int]", event: RunEvent) -> None:
    """Runs of the last moments are enough: only their events come again."""
    seen[event.run_id] = event.seq
    seen.move_to_end(event.run_id)
    if len(seen) > _RUNS_KNOWN:
        seen.popitem(last=False)
