"""A whole run on real servers: Temporal, Postgres, workers for every queue. Only what thinks is scripted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import Field
from temporalio import activity
from temporalio.client import Client, WorkflowHandle

from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.embedded.temporal import TIME_SKIPPING, TUNED, EmbeddedTemporal
from holdfast.ids import new_id
from holdfast.runtime.settings import TemporalSettings, WorkerSettings
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.declare import Tool, ToolContext, declared
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.agents import AgentSpec
from schemas.base import JsonObject, Request
from schemas.effects import Effect
from schemas.events import RunEvent
from schemas.plans import Plan, Step
from schemas.runs import Run, RunInput, RunOutput, RunState
from schemas.tools import EffectClass, ExampleCall, ToolExample, ToolResult
from tests.histories import write_down
from tests.patience import pauses
from tests.runs.acting import ByName, Forgetful, Script
from tests.runs.deciding import decide
from workers import pools
from workflows.agent_run import AgentRun


class Say(Request):
    text: str = ""
    fail: bool = False
    size: int = Field(default=0, ge=0)
    wait: str = ""


@dataclass
class World:
    """What the tools of these tests do to the world: it counts, outside of our own tables."""

    said: list[str] = field(default_factory=list)
    priorities: list[tuple[int | None, str | None]] = field(default_factory=list)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    def tools(self) -> Sequence[Tool]:
        async def say(arguments: Say, context: ToolContext) -> ToolResult:
            """Says a text to the world."""
            self.said.append(arguments.text)
            if activity.in_activity():
                priority = activity.info().priority
                self.priorities.append((priority.priority_key, priority.fairness_key))
            if arguments.wait:
                await self.gates.setdefault(arguments.wait, asyncio.Event()).wait()
            if arguments.fail or self.failures.get(arguments.text, 0) > 0:
                self.failures[arguments.text] = self.failures.get(arguments.text, 0) - 1
                raise RuntimeError("it did not work")
            output = {"text": arguments.text, "items": [arguments.text] * 3, "big": "x" * arguments.size}
            return ToolResult(ok=True, output=output, untrusted=False)

        before = (
            ExampleCall(tool="say", arguments={"text": "first"}),
            ExampleCall(tool="look", arguments={"text": "second"}),
        )
        examples = (
            ToolExample(title="An echo", arguments={"text": "hi"}, output={"text": "hi"}, first=before),
            ToolExample(title="A stranger", arguments={"text": "ho"}, needs="somebody who speaks"),
        )

        @declared("hear", effect=EffectClass.READ_ONLY, outside=True, examples=examples)
        async def hear(arguments: Say, context: ToolContext) -> JsonObject:
            """Repeats what somebody outside says."""
            return {"text": arguments.text}

        kinds = {
            "say": EffectClass.IRREVERSIBLE,
            "look": EffectClass.READ_ONLY,
        }
        return [hear, *(declared(name, effect=effect)(say) for name, effect in kinds.items())]


@dataclass
class Stage:
    """Everything of one test: start a run, look at it, speak to it."""

    client: Client
    database: Database
    world: World
    script: Script
    guardian: ByName
    host: RegistryToolHost
    fast: RegistryToolHost
    ledger: PostgresLedger
    memory: Forgetful
    started: list[str] = field(default_factory=list)

    @property
    def runs(self) -> PostgresRuns:
        return PostgresRuns(database=self.database)

    async def start(self, *steps: Step, **fields: Any) -> WorkflowHandle[AgentRun, RunOutput]:
        plan = Plan(steps=steps) if steps else None
        fields.setdefault("state", RunState(plan=plan))
        tools = (*self.host.catalogue().tools, *self.fast.catalogue().tools)
        run_input = RunInput(
            run_id=new_id("run"),
            tenant="default",
            goal="test",
            agent=AgentSpec(name="operator"),
            catalogue=self.host.catalogue().model_copy(update={"tools": tools}),
            **({"on_failure": "fail"} | fields),
        )
        await self.runs.create(run_input)
        self.started.append(run_input.run_id)
        return await self.client.start_workflow(
            AgentRun.run, run_input, id=run_input.run_id, task_queue="orchestration"
        )

    async def story(self, run_id: str) -> Sequence[RunEvent]:
        return await self.runs.events("default", run_id, limit=100_000)

    async def types(self, run_id: str) -> list[str]:
        return [event.type.value for event in await self.story(run_id)]

    async def run(self, run_id: str) -> Run:
        return await self.runs.read("default", run_id)

    async def effects(self, run_id: str) -> Sequence[Effect]:
        return await self.ledger.effects("default", run_id)

    async def until(self, run_id: str, event: str, times: int = 1) -> RunEvent:
        """The event, as soon as it is told."""
        waits = pauses()
        async with asyncio.timeout(60):
            while True:
                found = [told for told in await self.story(run_id) if told.type.value == event]
                if len(found) >= times:
                    return found[times - 1]
                await asyncio.sleep(next(waits))

    async def decide(self, run_id: str, *, approve: bool = True, **fields: Any) -> None:
        await self.answer(await self.until(run_id, "approval.requested"), approve=approve, **fields)

    async def answer(self, asked: RunEvent, *, approve: bool, **fields: Any) -> None:
        """The question of that event."""
        await decide(
            self.database,
            self.client,
            asked.run_id,
            asked.data["approval_id"],
            asked.data["digest"],
            approve=approve,
            **fields,
        )


@pytest.fixture(scope="module")
async def impatient_temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A server that asks for a new execution after 60 events instead of 4,096, and begins it at once: where an execution
    lasted less than a second, the next would wait for the rest of it, and gather whatever is said meanwhile."""
    log = tmp_path_factory.mktemp("impatient") / "temporal.log"
    impatience = {
        "limit.historyCount.suggestContinueAsNew": "60",
        "history.workflowIdReuseMinimalInterval": '"0s"',
    }
    server = EmbeddedTemporal(log=log, dynamic={**TUNED, **TIME_SKIPPING, **impatience})
    await server.start()
    yield server.address
    await server.stop()


if TYPE_CHECKING:
    from tests.runs.house import House

StageMaker = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def make_stage(database: Database, temporal_address: str) -> AsyncIterator[StageMaker]:
    """A stage whose workers stop with the test. Each test has a task-queue world of its own: its namespace."""
    async with AsyncExitStack() as stack:

        async def make(*, cached_runs: int = 100, namespace: str = "default") -> Stage:
            plugin = HoldfastPlugin(payloads=PostgresPayloads(database))
            client = await connect(plugin, address=temporal_address, namespace=namespace)
            world, script, guardian, memory = World(), Script(), ByName(), Forgetful()
            host = RegistryToolHost(Registry(world.tools()))
            fast = RegistryToolHost(Registry([calc]))
            runs = PostgresRuns(database=database)
            ledger = PostgresLedger(database=database)
            artifacts = PostgresArtifacts(database=database)
            made = [
                pools.orchestration(
                    story=runs,
                    runs=runs,
                    artifacts=artifacts,
                    guardian=guardian,
                    ledger=ledger,
                    approvals=PostgresApprovals(database=database),
                    fast_tools=fast,
                    memory=memory,
                ),
                pools.tools(ledger=ledger, tools=host, artifacts=artifacts, worker="test"),
                pools.llm(
                    planner=script,
                    runs=runs,
                    story=runs,
                    moves=pools.moves(guardian=guardian, ledger=ledger, fast_tools=fast),
                ),
            ]
            settings = WorkerSettings(cached_runs=cached_runs, drain_s=0.1)
            for pool in made:
                await stack.enter_async_context(
                    pool.worker(client, workers=settings, temporal=TemporalSettings())
                )
            return Stage(client, database, world, script, guardian, host, fast, ledger, memory)

        yield make


@pytest.fixture
async def stage(make_stage: StageMaker, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    made = await make_stage()
    yield made
    folder = request.config.getoption("record_histories")
    if folder:
        await record(made, Path(folder) / f"{request.node.name.removeprefix('test_')}.json")


async def record(stage: Stage, file: Path) -> None:
    """The history of the test's first run, for tests/replay: with what it kept outside read back in."""
    handle = stage.client.get_workflow_handle(stage.started[0])
    write_down(await handle.fetch_history(), file)


@pytest.fixture
async def house(database_url: str, temporal_address: str) -> AsyncIterator["House"]:
    """Everything at once, through the front door, where the tools may be called."""
    from tests.runs.house import opened  # noqa: PLC0415 -- only tests with a door pay for it

    async with opened(database_url, temporal_address) as made:
        await made.allow()
        yield made
