"""A process with workers for every queue that kills itself, with SIGKILL, at one chosen point.

The point is `history:N` (before the workflow acts on a history of N events); `LEDGER:STEP` where LEDGER is one of
`before_dispatch`, `after_dispatch`, `after_call`, `after_observe`: the boundaries at which a crash can lose or repeat
an effect; `start:STAGE`, on the way to taking work: after `database`, `client` or `workers` have been opened; `rolled:N`,
as `history:N` of an execution that goes on from another; or `told:TYPE`, after an event of that type is in the story.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
from temporalio import workflow
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.layer import ModelLayer
from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import LedgerAnswer, PostgresLedger
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.runtime.settings import TemporalSettings, WorkerSettings
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.declare import Tool, ToolContext, declared
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.base import JsonObject, Request
from schemas.chat import TaskClass
from schemas.models import Deployment, ModelSettings, Price, Route
from schemas.plans import StepRetry, ToolStep
from schemas.stages import ActRequest, NextMove, NextRequest, RecordRequest
from schemas.tools import EffectClass, ToolResult
from tests.runs.acting import ByName, Forgetful, Script
from workers import pools


class Walker(Script):
    """A model that makes as many moves as its goal has words, each with an effect of that name, and then answers."""

    async def next(self, request: NextRequest) -> NextMove:
        words = request.goal.split()
        if request.turn == len(words):
            return NextMove(answer=request.goal)
        retry = StepRetry(attempts=2, wait_s=0.05)
        arguments: JsonObject = {"name": words[request.turn]}
        return NextMove(step=ToolStep(id="x", tool="irreversible", arguments=arguments, retry=retry))


VOICES = ("one", "two", "three")


@dataclass(frozen=True)
class Errand:
    """What a victim needs to know; it crosses to the process as it is."""

    database_url: str
    temporal_address: str
    world_url: str
    kill_at: str
    models_url: str = ""


class Note(Request):
    name: str
    text: str = ""


def tools_for(world_url: str) -> Sequence[Tool]:
    """One tool of every class, all acting on the world over HTTP."""

    def act(name: str, effect: EffectClass) -> Tool:
        async def call(arguments: Note, context: ToolContext) -> ToolResult:
            """Acts on the outside world."""
            key = context.idempotency_key if effect is EffectClass.IDEMPOTENT else None
            async with httpx.AsyncClient() as http:
                await http.post(world_url, json={"name": arguments.name, "key": key})
            return ToolResult(ok=True, output={"name": arguments.name}, untrusted=False)

        async def probe(arguments: JsonObject, context: ToolContext) -> bool | None:
            async with httpx.AsyncClient() as http:
                answer = await http.get(f"{world_url}/{arguments['name']}")
            return bool(answer.json()["count"])

        tool = declared(name, effect=effect)(call)
        return Tool(spec=tool.spec, call=tool.call, probe=probe if effect is EffectClass.PROBED else None)

    return [act(effect.value, effect) for effect in EffectClass]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyLedger(PostgresLedger):
    """The real ledger, in a process that dies at one of its boundaries."""

    def __init__(self, *, database: Database, kill_at: str) -> None:
        super().__init__(database=database)
        self._kill_at = kill_at

    async def dispatch(self, request: ActRequest, **fields: Any) -> LedgerAnswer:
        self._here("before_dispatch", request)
        answer = await super().dispatch(request, **fields)
        self._here("after_dispatch", request)
        return answer

    async def observe(self, request: ActRequest, result: ToolResult) -> None:
        self._here("after_call", request)
        await super().observe(request, result)
        self._here("after_observe", request)

    async def observe_and_dispatch(
        self, request: ActRequest, result: ToolResult, following: ActRequest, **fields: Any
    ) -> LedgerAnswer:
        self._here("after_call", request)
        self._here("before_dispatch", following)
        answer = await super().observe_and_dispatch(request, result, following, **fields)
        self._here("after_observe", request)
        self._here("after_dispatch", following)
        return answer

    def _here(self, boundary: str, request: ActRequest) -> None:
        if self._kill_at == f"{boundary}:{request.action.step_id}":
            die()


class DeadlyRuns(PostgresRuns):
    """The real story, in a process that dies when it has told what is fatal."""

    def __init__(self, *, database: Database, fatal: str) -> None:
        super().__init__(database=database)
        self._fatal = fatal

    async def record(self, request: RecordRequest) -> int:
        told = await super().record(request)
        if self._fatal in {event.type.value for event in request.events}:
            die()
        return told


class DeadlyHistory(Interceptor):
    """Dies as soon as the workflow is woken with a history of the fatal length, of an execution behind another if `rolled`."""

    def __init__(self, length: int, *, rolled: bool) -> None:
        DeadlyHistory.fatal = length
        DeadlyHistory.rolled = rolled

    fatal = 0
    rolled = False

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's name
    ) -> type[WorkflowInboundInterceptor]:
        return _Watch


class _Watch(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
        async def watch() -> None:
            await workflow.wait_condition(_fatal)
            die()

        watcher = asyncio.create_task(watch())
        try:
            return await super().execute_workflow(input)
        finally:
            watcher.cancel()


def _fatal() -> bool:
    info = workflow.info()
    if DeadlyHistory.rolled and info.continued_run_id is None:
        return False
    return info.get_current_history_length() >= DeadlyHistory.fatal > 0


def voices(url: str) -> ModelSettings:
    """Three models behind one address, to sit on panels."""
    deployments = tuple(
        Deployment(
            name=name, model=f"test/{name}", via="openai", base_url=url, price=Price(input=1, output=1)
        )
        for name in VOICES
    )
    return ModelSettings(deployments=deployments, routes={TaskClass.PANEL: Route(deployments=VOICES)})


def main(errand: Errand) -> None:
    asyncio.run(_serve(errand))


async def _serve(errand: Errand) -> None:
    kind, _, place = errand.kill_at.partition(":")
    by_length = kind in ("history", "rolled")
    interceptors = [DeadlyHistory(int(place), rolled=kind == "rolled")] if by_length else []

    def opened(stage: str) -> None:
        if (kind, place) == ("start", stage):
            die()

    database = await Database.open(errand.database_url, max_size=6)
    opened("database")
    client = await connect(
        HoldfastPlugin(payloads=PostgresPayloads(database)), address=errand.temporal_address
    )
    opened("client")
    runs = DeadlyRuns(database=database, fatal=place if kind == "told" else "")
    artifacts = PostgresArtifacts(database=database)
    ledger = DeadlyLedger(database=database, kill_at=errand.kill_at)
    host = RegistryToolHost(Registry(tools_for(errand.world_url)))
    fast = RegistryToolHost(Registry([calc]))
    layer = ModelLayer(settings=voices(errand.models_url), keys=KeyRing({}), database=database)
    if errand.models_url:
        await layer.providers.load(layer.settings.deployments)
    made = [
        pools.orchestration(
            story=runs,
            runs=runs,
            artifacts=artifacts,
            guardian=ByName(),
            ledger=ledger,
            approvals=PostgresApprovals(database=database),
            fast_tools=fast,
            memory=Forgetful(),
        ),
        pools.tools(ledger=ledger, tools=host, artifacts=artifacts, worker=str(os.getpid())),
        pools.llm(
            planner=Walker(),
            runs=runs,
            story=runs,
            moves=pools.moves(guardian=ByName(), ledger=ledger, fast_tools=fast),
            panels=layer.panel(),
        ),
    ]
    async with AsyncExitStack() as stack:
        for pool in made:
            worker = pool.worker(
                client, workers=WorkerSettings(), temporal=TemporalSettings(), interceptors=interceptors
            )
            await stack.enter_async_context(worker)
        opened("workers")
        await asyncio.Event().wait()
