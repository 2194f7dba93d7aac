"""Runs over HTTP: start them, follow them without losing an event, command them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx

from holdfast.client.sse import read_events
from holdfast.client.wire import Wire, wait_s
from holdfast.errors import HoldfastError
from schemas.base import JsonObject
from schemas.commands import CommandReport
from schemas.effects import Effect
from schemas.events import TERMINAL_EVENT, RunEvent
from schemas.pages import Items, Page
from schemas.reports import RunCost, VerdictView
from schemas.runs import Run, RunRequest, StepView

_PATIENCE = 30
"""Attempts in a row to reach a stream again, about two minutes, before its reader is told."""


class RunsClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def start(self, request: RunRequest, *, wait: float = 0, key: str | None = None) -> Run:
        """Start a run. It carries a key, so an answer that was lost on the way starts nothing twice."""
        body = request.model_dump(mode="json", exclude_none=True)
        response = await self._wire.post(
            "/v1/runs", body, query={"wait": wait or None}, key=key, patience_s=wait
        )
        return Run.model_validate_json(response.content)

    async def read(self, run_id: str) -> Run:
        return Run.model_validate_json((await self._wire.ask("GET", f"/v1/runs/{run_id}")).content)

    async def page(
        self, *, cursor: str | None = None, limit: int = 50, filters: Mapping[str, Any] | None = None
    ) -> Page[Run]:
        """One page; the filters are the query parameters of GET /v1/runs."""
        query = {**(filters or {}), "cursor": cursor, "limit": limit}
        return Page[Run].model_validate_json((await self._wire.ask("GET", "/v1/runs", query=query)).content)

    async def all(self, *, filters: Mapping[str, Any] | None = None) -> AsyncIterator[Run]:
        """Every run that fits, page by page."""
        cursor: str | None = None
        while True:
            page = await self.page(cursor=cursor, limit=200, filters=filters)
            for run in page.items:
                yield run
            cursor = page.next
            if cursor is None:
                return

    async def effects(self, run_id: str) -> Sequence[Effect]:
        response = await self._wire.ask("GET", f"/v1/runs/{run_id}/effects")
        return Items[Effect].model_validate_json(response.content).items

    async def verdicts(self, run_id: str) -> Sequence[VerdictView]:
        response = await self._wire.ask("GET", f"/v1/runs/{run_id}/verdicts")
        return Items[VerdictView].model_validate_json(response.content).items

    async def steps(self, run_id: str) -> Sequence[StepView]:
        response = await self._wire.ask("GET", f"/v1/runs/{run_id}/steps")
        return Items[StepView].model_validate_json(response.content).items

    async def cost(self, run_id: str) -> RunCost:
        return RunCost.model_validate_json((await self._wire.ask("GET", f"/v1/runs/{run_id}/cost")).content)

    async def delete(self, run_id: str) -> None:
        await self._wire.ask("DELETE", f"/v1/runs/{run_id}")

    async def pause(self, run_id: str, *, reason: str = "") -> CommandReport:
        return await self._command(run_id, "pause", {"reason": reason})

    async def resume(self, run_id: str, **changes: Any) -> CommandReport:
        """The changes are the fields of the body of POST /v1/runs/{id}/resume."""
        return await self._command(run_id, "resume", changes)

    async def cancel(self, run_id: str, *, force: bool = False, reason: str = "") -> CommandReport:
        return await self._command(
            run_id, "cancel", {"mode": "force" if force else "graceful", "reason": reason}
        )

    async def fork(
        self, run_id: str, *, from_step: str | None = None, inputs: JsonObject | None = None
    ) -> Run:
        body = {"from_step": from_step, "inputs": inputs or {}}
        return Run.model_validate_json((await self._post(f"/v1/runs/{run_id}/fork", body)).content)

    async def post_event(self, run_id: str, name: str, data: JsonObject | None = None) -> None:
        await self._post(f"/v1/runs/{run_id}/events", {"name": name, "data": data or {}})

    async def instruct(self, run_id: str, text: str) -> None:
        await self._post(f"/v1/runs/{run_id}/instructions", {"text": text})

    async def _command(self, run_id: str, verb: str, body: JsonObject) -> CommandReport:
        response = await self._post(f"/v1/runs/{run_id}/{verb}", body)
        return CommandReport.model_validate_json(response.content)

    async def _post(self, path: str, body: JsonObject) -> httpx.Response:
        return await self._wire.post(path, body)

    async def follow(self, run_id: str, *, after: int = 0, follow: bool = True) -> AsyncIterator[RunEvent]:
        """Every event from there on, once and in order, across lost connections and restarted servers; ends with the
        run. Without `follow`, ends with what is told so far."""
        failures = 0
        while True:
            last: RunEvent | None = None
            try:
                async for last in self._stream(run_id, after, follow=follow):
                    yield last
                    after, failures = last.seq, 0
            except HoldfastError as error:
                failures += 1
                if not error.retryable or failures >= _PATIENCE:
                    raise
                await asyncio.sleep(wait_s(failures, error.retry_after_s))
                continue
            except _Over:
                return
            if not follow or (last is not None and last.type == TERMINAL_EVENT):
                return
            await asyncio.sleep(wait_s(0, None))

    async def _stream(self, run_id: str, after: int, *, follow: bool) -> AsyncIterator[RunEvent]:
        query = {"follow": None if follow else "false"}
        headers = {"Last-Event-ID": str(after), "Accept": "text/event-stream"}
        async with self._wire.stream(f"/v1/runs/{run_id}/events", query=query, headers=headers) as response:
            if response.status_code == httpx.codes.NO_CONTENT:
                raise _Over
            async for event in read_events(response.aiter_lines()):
                if event.id:
                    yield RunEvent.model_validate_json(event.data)


class _Over(Exception):
    """The server says that nothing will follow."""
