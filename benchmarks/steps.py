"""What a governed step costs: both lanes against a bare Temporal step, in one run on the same servers.

    python -m benchmarks.steps [--steps 10] [--rounds 3] [--at 1 32] [--short]

Each figure is milliseconds a step, the median over rounds that take turns; x is the ratio to the bare step, which is
one regular activity in a workflow and nothing else: no verdict, no ledger, no events. It stands on the queue of its workflow,
where Temporal hands it over with the turn that asked for it; the second bare one stands on another, as tools have to that
are kept away from what decides. The third has the tasks and commits of a step one by one, and nothing in them (`floor.py`).
Steps that read the one before them go one by one; those that only follow it go in rows.
Servers are the embedded ones, on disk, as `holdfast up` starts them.
"""

import argparse
import asyncio
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from benchmarks import floor
from holdfast.adapters.guardian import StoredPolicies
from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.brakes import PostgresBrakes
from holdfast.adapters.postgres.database import Connection, Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.migrate import migrate
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.policies import PostgresPolicies
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.embedded.postgres import EmbeddedPostgres
from holdfast.embedded.temporal import EmbeddedTemporal
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.ids import new_id
from holdfast.ports import Planner
from holdfast.runtime.exit import leave
from holdfast.runtime.settings import TemporalSettings, WorkerSettings
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.declare import Tool, ToolContext, declared
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.agents import AgentSpec, RunLimits
from schemas.base import Request
from schemas.plans import Plan, Step, ToolStep, WaitStep
from schemas.runs import RunInput, RunState
from schemas.stages import (
    Answer,
    AnswerRequest,
    Learned,
    LearnRequest,
    NextMove,
    NextRequest,
    PlanProposal,
    PlanRequest,
    RecallRequest,
    Recollection,
)
from schemas.tools import Catalogue, EffectClass, ToolResult
from workers import pools
from workflows import options

BARE_QUEUE = "bare"
ASIDE_QUEUE = "aside"
BARE = "bare Temporal, one activity"
ASIDE = "bare Temporal, on another queue"
FLOOR = "bare Temporal, tasks and commits of a step"


@dataclass(frozen=True)
class History:
    events: int
    size: int


@activity.defn
async def nothing(number: int) -> int:
    return number


@workflow.defn
class Bare:
    @workflow.run
    async def run(self, steps: int, queue: str) -> int:
        for number in range(steps):
            await workflow.execute_activity(
                nothing, number, task_queue=queue, start_to_close_timeout=timedelta(seconds=30)
            )
        return steps


class NoArguments(Request):
    text: str = ""


@declared("nothing", effect=EffectClass.READ_ONLY)
async def no_op(arguments: NoArguments, context: ToolContext) -> ToolResult:
    """Does nothing, on the tools queue."""
    return ToolResult(ok=True, untrusted=False)


class Mute:
    """Neither plans nor remembers: these runs bring their plan."""

    async def plan(self, request: PlanRequest) -> PlanProposal:
        raise NotImplementedError

    async def next(self, request: NextRequest) -> NextMove:
        raise NotImplementedError

    async def answer(self, request: AnswerRequest) -> Answer:
        return Answer(text="done")

    async def recall(self, request: RecallRequest) -> Recollection:
        return Recollection()

    async def learn(self, request: LearnRequest) -> Learned:
        return Learned()


@dataclass
class Bench:
    client: Client
    database: Database
    catalogue: Catalogue

    async def bare(self, steps: int, queue: str = BARE_QUEUE) -> None:
        await self.client.execute_workflow(
            Bare.run, args=[steps, queue], id=new_id("bare"), task_queue=BARE_QUEUE
        )

    async def governed(self, tool: Tool, steps: int, *, reading: bool = False) -> History:
        """A run of that many steps, each behind the one before, or even `reading` what became of it."""
        handle = await self.start(_chain(tool, steps, reading=reading))
        output = await handle.result()
        if output["status"] != "succeeded":
            raise RuntimeError(output["reason"])
        told = (await handle.describe()).raw_description.workflow_execution_info
        return History(told.history_length, told.history_size_bytes)

    async def start(self, steps: Sequence[Step]) -> WorkflowHandle[Any, Any]:
        run = RunInput(
            run_id=new_id("run"),
            tenant="default",
            goal="measure",
            agent=AgentSpec(name="operator"),
            catalogue=self.catalogue,
            limits=RunLimits(steps=len(steps) + 1),
            on_failure="fail",
            state=RunState(plan=Plan(steps=tuple(steps))),
        )
        await PostgresRuns(database=self.database).create(run)
        return await self.begin(run)

    async def begin(self, run: RunInput) -> WorkflowHandle[Any, Any]:
        """As the API does."""
        return await self.client.start_workflow(
            "AgentRun",
            run,
            id=run.run_id,
            task_queue="orchestration",
            search_attributes=options.search_attributes(run),
        )


def _chain(tool: Tool, length: int, *, reading: bool) -> list[ToolStep]:
    steps: list[ToolStep] = []
    for number in range(length):
        before = (f"s{number - 1}",) if number else ()
        text = f"${{steps.s{number - 1}.state}}" if reading and number else str(number)
        value = f"${{steps.s{number - 1}.output.value}}" if reading and number else "1"
        arguments = {"expression": f"{value} + 1"} if tool is calc else {"text": text}
        steps.append(ToolStep(id=f"s{number}", tool=tool.spec.name, arguments=arguments, depends_on=before))
    return steps


async def per_step(work: Callable[[int], Awaitable[object]], *, steps: int, at: int) -> float:
    """Milliseconds a step of `at` runs at once: the cost of ending is taken out by a run of no more than one step."""
    begun = time.perf_counter()
    await asyncio.gather(*(work(1) for _ in range(at)))
    overhead = time.perf_counter() - begun
    begun = time.perf_counter()
    await asyncio.gather(*(work(steps + 1) for _ in range(at)))
    return (time.perf_counter() - begun - overhead) * 1000 / steps


async def measure(bench: Bench, *, steps: int, rounds: int, at: int) -> None:
    lanes: dict[str, Callable[[int], Awaitable[object]]] = {
        BARE: bench.bare,
        ASIDE: lambda count: bench.bare(count, ASIDE_QUEUE),
        FLOOR: lambda count: floor.step_by_step(bench.client, count),
        "sandbox lane, in rows": lambda count: bench.governed(no_op, count),
        "sandbox lane, one by one": lambda count: bench.governed(no_op, count, reading=True),
        "fast lane, in rows": lambda count: bench.governed(calc, count),
        "fast lane, one by one": lambda count: bench.governed(calc, count, reading=True),
    }
    found: dict[str, list[float]] = {name: [] for name in lanes}
    for work in lanes.values():
        await work(2)
    for _ in range(rounds):
        for name, work in lanes.items():
            found[name].append(await per_step(work, steps=steps, at=at))
    bare = statistics.median(found[BARE])
    print(f"\n{at} at once, {steps} steps, {rounds} rounds: ms a step")
    for name, figures in found.items():
        median = statistics.median(figures)
        print(
            f"  {name:42} {median:8.2f}   x {median / bare:.2f}   ({min(figures):.2f} to {max(figures):.2f})"
        )


async def history_cost(bench: Bench) -> None:
    for tool, lane in ((no_op, "sandbox lane"), (calc, "fast lane")):
        for reading, way in ((False, "in rows"), (True, "one by one")):
            short = await bench.governed(tool, 2, reading=reading)
            long = await bench.governed(tool, 66, reading=reading)
            events, size = (long.events - short.events) / 64, (long.size - short.size) / 64
            print(f"history a step, {lane}, {way}: {events:.2f} events, {size:.0f} bytes")


async def cached_memory(bench: Bench, *, runs: int = 100) -> None:
    """What a run weighs that has taken ten steps and waits for an event, kept ready by its worker."""
    before = _resident()
    waiting = WaitStep(id="wait", event="never", depends_on=("s9",))
    handles = [await bench.start([*_chain(calc, 10, reading=True), waiting]) for _ in range(runs)]
    async with bench.database.tenant("default") as connection:
        for handle in handles:
            while not await _waits(connection, handle.id):  # noqa: ASYNC110 - what is waited for is a row
                await asyncio.sleep(0.02)
    print(f"memory of a run that waits in a worker's cache: {(_resident() - before) / runs / 1024:.0f} KiB")
    for handle in handles:
        await handle.terminate()


async def _waits(connection: Connection, run_id: str) -> bool:
    cursor = await connection.execute(
        "select from run_events where run_id = %s and step_id = 'wait'", (run_id,)
    )
    return await cursor.fetchone() is not None


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def start_rate(bench: Bench, *, runs: int = 100) -> None:
    begun = time.perf_counter()
    await asyncio.gather(*(bench.governed(calc, 1) for _ in range(runs)))
    print(f"runs of one fast step, started and ended: {runs / (time.perf_counter() - begun):.1f} a second")


async def long_run(bench: Bench, *, steps: int) -> None:
    begun = time.perf_counter()
    await bench.governed(calc, steps)
    print(f"a run of {steps} fast steps: {time.perf_counter() - begun:.1f} s")


async def main(arguments: argparse.Namespace) -> None:
    async with AsyncExitStack() as stack:
        bench = await prepared(stack)
        for at in arguments.at:
            await measure(bench, steps=arguments.steps, rounds=arguments.rounds, at=at)
        if arguments.short:
            return
        print()
        await history_cost(bench)
        await cached_memory(bench)
        await start_rate(bench)
        await long_run(bench, steps=arguments.long)


async def prepared(stack: AsyncExitStack, *, planner: Planner | None = None) -> Bench:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    postgres = EmbeddedPostgres(folder / "postgres", log=folder / "postgres.log")
    temporal = EmbeddedTemporal(log=folder / "temporal.log", database=folder / "temporal.db")
    for server in (postgres, temporal):
        await server.start()
        stack.push_async_callback(server.stop)
    await migrate(postgres.url)
    database = await Database.open(postgres.url, max_size=20)
    stack.push_async_callback(database.close)
    client = await connect(HoldfastPlugin(payloads=PostgresPayloads(database)), address=temporal.address)
    runs, artifacts = PostgresRuns(database=database), PostgresArtifacts(database=database)
    ledger = PostgresLedger(database=database)
    policies = StoredPolicies(
        policies=PostgresPolicies(database=database), brakes=PostgresBrakes(database=database)
    )
    guardian = PolicyGuardian(policies=policies)
    host, fast, mute = RegistryToolHost(Registry([no_op])), RegistryToolHost(Registry([calc])), Mute()
    made = [
        pools.orchestration(
            story=runs,
            runs=runs,
            artifacts=artifacts,
            guardian=guardian,
            ledger=ledger,
            approvals=PostgresApprovals(database=database),
            fast_tools=fast,
            memory=mute,
        ),
        pools.tools(ledger=ledger, tools=host, artifacts=artifacts, worker="bench"),
        pools.llm(
            planner=planner or mute,
            runs=runs,
            story=runs,
            moves=pools.moves(guardian=guardian, ledger=ledger, fast_tools=fast),
        ),
    ]
    for pool in made:
        settings = WorkerSettings(tools_slots=32)
        await stack.enter_async_context(pool.worker(client, workers=settings, temporal=TemporalSettings()))
    for queue, workflows in ((BARE_QUEUE, [Bare]), (ASIDE_QUEUE, [])):
        bare = Worker(
            client,
            task_queue=queue,
            workflows=workflows,
            activities=[nothing],
            max_concurrent_activity_task_polls=floor.POLLS,
            max_concurrent_workflow_task_polls=floor.POLLS,
        )
        await stack.enter_async_context(bare)
    await floor.prepare(stack, client=client, database_url=postgres.url)
    return Bench(client, database, Catalogue(tools=(no_op.spec, calc.spec)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--short", action="store_true", help="only what a step costs")
    parser.add_argument("--long", type=int, default=5000, help="steps of the long run")
    asyncio.run(main(parser.parse_args()))
    leave(0)
