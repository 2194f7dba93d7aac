"""Runs over HTTP: start them, follow them without losing an event, command them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import httpx

from holdfast.client.sse import lines_of, read_events
from holdfast.client.wire import Wire, wait_s
from holdfast.errors import HoldfastError
from schemas.base import JsonObject
from schemas.commands import CommandReport
from schemas.effects import Effect
from schemas.events import TERMINAL_EVENT, ModelDelta, RunEvent
from schemas.pages import Items, Page
from schemas.plans import Plan
from schemas.reports import RunCost, VerdictView
from schemas.runs import Run, RunRequest, StepView
from schemas.spend import ModelCall

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
        async for run in self._wire.items("/v1/runs", Run, query=filters):
            yield run

    async def plan(self, run_id: str) -> Plan:
        """The plan that was accepted last."""
        return Plan.model_validate_json((await self._wire.ask("GET", f"/v1/runs/{run_id}/plan")).content)

    async def effects(self, run_id: str) -> Sequence[Effect]:
        return [effect async for effect in self._wire.items(f"/v1/runs/{run_id}/effects", Effect)]

    async def verdicts(self, run_id: str) -> Sequence[VerdictView]:
        return [verdict async for verdict in self._wire.items(f"/v1/runs/{run_id}/verdicts", VerdictView)]

    async def model_calls(self, run_id: str) -> Sequence[ModelCall]:
        return [call async for call in self._wire.items(f"/v1/runs/{run_id}/model-calls", ModelCall)]

    async def artifact(self, run_id: str, digest: str) -> bytes:
        """An output that was too large for the story, as it is."""
        return (await self._wire.ask("GET", f"/v1/runs/{run_id}/artifacts/{digest}")).content

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

    async def follow(self, run_id: str, *, after: int = 0, follow: bool = True) -> AsyncGenerator[RunEvent]:
        """Every event from there on, once and in order, across lost connections and restarted servers; ends with the
        run. Without `follow`, ends with what is told so far."""
        async with aclosing(self._told(run_id, after, follow=follow)) as told:
            async for event in told:
                if isinstance(event, RunEvent):
                    yield event

    async def live(self, run_id: str, *, after: int = 0) -> AsyncGenerator[RunEvent | ModelDelta]:
        """The same, and pieces of what models write meanwhile. Those are kept nowhere: some may be missed."""
        async with aclosing(self._told(run_id, after, follow=True)) as told:
            async for event in told:
                yield event

    async def _told(self, run_id: str, after: int, *, follow: bool) -> AsyncGenerator[RunEvent | ModelDelta]:
        failures = 0
        while True:
            ended = False
            try:
                async with aclosing(self._stream(run_id, after, follow=follow)) as stream:
                    async for event in stream:
                        yield event
                        if isinstance(event, RunEvent):
                            after, ended, failures = event.seq, event.type is TERMINAL_EVENT, 0
            except HoldfastError as error:
                failures += 1
                if not error.retryable or failures >= _PATIENCE:
                    raise
                await asyncio.sleep(wait_s(failures, error.retry_after_s))
                continue
            except _Over:
                return
            if not follow or ended:
                return
            await asyncio.sleep(wait_s(0, None))

    async def _stream(
        self, run_id: str, after: int, *, follow: bool
    ) -> AsyncGenerator[RunEvent | ModelDelta]:
        query = {"follow": None if follow else "false"}
        headers = {"Last-Event-ID": str(after), "Accept": "text/event-stream"}
        async with self._wire.stream(f"/v1/runs/{run_id}/events", query=query, headers=headers) as response:
            if response.status_code == httpx.codes.NO_CONTENT:
                raise _Over
            async for event in read_events(lines_of(response.aiter_text())):
                kind = RunEvent if event.id else ModelDelta
                yield kind.model_validate_json(event.data)


class _Over(Exception):
    """The server says that nothing will follow."""
