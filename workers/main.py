"""A worker process: the composition root that turns settings into adapters, adapters into ports, ports into pools."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

import structlog

from holdfast.adapters.guardian import StoredPolicies
from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.brakes import PostgresBrakes
from holdfast.adapters.postgres.database import Database, Role
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.adapters.postgres.payload_retention import forgotten_by, purge_payloads
from holdfast.adapters.postgres.policies import PostgresPolicies
from holdfast.adapters.postgres.retention import PostgresRetention
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.shipped import shipped_book
from holdfast.knowledge.planner import RunbookPlanner
from holdfast.runtime.logging import set_up_logging
from holdfast.runtime.readiness import tell_ready
from holdfast.runtime.settings import Queue, Settings
from holdfast.runtime.telemetry import start_telemetry
from holdfast.tools.builtin import fast_tools, sandboxed_tools
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.memory import MemoryStatus, RecallSettings
from workers import pools
from workers.housekeeping import Chore, doing, retention_chores, workspace_chores
from workers.parts import Parts, parts

log = structlog.get_logger()

_CHORES_EVERY = timedelta(hours=1)


async def run(settings: Settings, *, queues: Sequence[Queue]) -> None:
    """Serve these queues until SIGTERM or SIGINT; then take nothing new and let what is under way end."""
    set_up_logging(
        service="worker",
        level=settings.telemetry.log_level.upper(),
        pretty={"auto": None, "json": False, "pretty": True}[settings.telemetry.log_format],
    )
    telemetry = start_telemetry(service="worker", endpoint=settings.telemetry.otlp_endpoint)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    try:
        async with parts(settings) as held:
            await _serve(held, queues, stop)
    finally:
        telemetry.close()


async def _serve(held: Parts, queues: Sequence[Queue], stop: asyncio.Event) -> None:
    settings = held.settings
    client = await held.client(role=_role(queues))
    async with contextlib.AsyncExitStack() as stack:
        for queue in queues:
            pool = await _POOLS[queue](held)
            worker = pool.worker(client, workers=settings.workers, temporal=settings.temporal)
            await stack.enter_async_context(worker)
        await stack.enter_async_context(doing(await _chores(held, queues), every=_CHORES_EVERY))
        tell_ready()
        log.info("worker_ready", queues=[queue.value for queue in queues], identity=held.identity)
        await stop.wait()
        log.info("worker_stopping", queues=[queue.value for queue in queues])


async def _chores(held: Parts, queues: Sequence[Queue]) -> Mapping[str, Chore]:
    chores: dict[str, Chore] = {}
    if Queue.KNOWLEDGE in queues:
        database, client = await held.database(), await held.client(role="holdfast_app")
        chores |= retention_chores(PostgresRetention(database=database), held.settings.retention)
        age = timedelta(days=held.settings.retention.payloads_days)
        chores["purge_payloads"] = lambda: purge_payloads(database, forgotten_by(client), older_than=age)
    if Queue.TOOLS in queues:
        retention = PostgresRetention(database=await held.database("holdfast_tools"))
        chores |= workspace_chores(retention, held.sandbox())
    return chores


def _role(queues: Sequence[Queue]) -> Role:
    """A process that only calls tools has the rights of one that only calls tools."""
    return "holdfast_tools" if set(queues) == {Queue.TOOLS} else "holdfast_app"


async def _orchestration(held: Parts) -> pools.Pool:
    database = await held.database()
    runs = PostgresRuns(database=database)
    # Reading the command knowledge takes about a second: before the first action, not during it.
    await asyncio.to_thread(shipped_book)
    return pools.orchestration(
        story=runs,
        runs=runs,
        artifacts=PostgresArtifacts(database=database),
        guardian=PolicyGuardian(policies=stored_policies(database)),
        ledger=PostgresLedger(database=database),
        approvals=PostgresApprovals(database=database),
        fast_tools=RegistryToolHost(Registry(fast_tools())),
    )


def stored_policies(database: Database) -> StoredPolicies:
    return StoredPolicies(
        policies=PostgresPolicies(database=database), brakes=PostgresBrakes(database=database)
    )


async def _tools(held: Parts) -> pools.Pool:
    database = await held.database("holdfast_tools")
    host = RegistryToolHost(Registry([*fast_tools(), *sandboxed_tools(held.sandbox())]))
    await PostgresTools(database=database).publish(host.specs())
    return pools.tools(
        ledger=PostgresLedger(database=database),
        tools=host,
        artifacts=PostgresArtifacts(database=database),
        worker=held.identity,
    )


async def _llm(held: Parts) -> pools.Pool:
    database, settings = await held.database(), held.settings
    layer = await held.models()
    library = PostgresLibrary(database=database, embedder=held.embedder())
    planner = layer.planner(runbook=RunbookPlanner(library=library), cache=settings.models.cache)
    return pools.llm(planner=planner)


async def _knowledge(held: Parts) -> pools.Pool:
    database, settings = await held.database(), held.settings.knowledge
    memory = PostgresMemory(
        database=database,
        embedder=held.embedder(),
        library=PostgresLibrary(database=database, embedder=held.embedder()),
        settings=RecallSettings(
            recency_weight=settings.recency_weight, half_life_days=settings.half_life_days
        ),
        new_lessons=MemoryStatus(settings.new_lessons),
    )
    return pools.knowledge(memory=memory)


_POOLS: Mapping[Queue, Callable[[Parts], Awaitable[pools.Pool]]] = MappingProxyType(
    {
        Queue.ORCHESTRATION: _orchestration,
        Queue.TOOLS: _tools,
        Queue.LLM: _llm,
        Queue.KNOWLEDGE: _knowledge,
    }
)
