"""The crash certificate: a reference run is killed at every history event, at every boundary of the ledger and while a
worker starts, and the outside world is asked what happened. `make certify` tries every point; `make test` one of each kind.
"""

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.ids import new_id
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.tools.builtin.calculator import calc
from schemas.agents import AgentSpec
from schemas.approvals import ApprovalSubject
from schemas.events import EventType, RunEvent
from schemas.plans import Plan, StepRetry, ToolStep
from schemas.runs import RunInput, RunState, RunStatus
from schemas.tools import Catalogue
from tests.certificate.table import note
from tests.certificate.victim import Errand, main, tools_for
from tests.certificate.world import World
from tests.runs.deciding import decide

ACTING = ("read_only", "idempotent", "probed", "irreversible")
BOUNDARIES = ("before_dispatch", "after_dispatch", "after_call", "after_observe")
LEDGER_POINTS = [f"{boundary}:{step}" for step in (*ACTING, "approved") for boundary in BOUNDARIES]
HISTORY_POINTS = [f"history:{length}" for length in range(3, 60)]
"""To beyond the end: a point that is not reached is shown to lie there."""
START_POINTS = [f"start:{stage}" for stage in ("database", "client", "workers")]
AGAIN = ["after_call:irreversible, start:workers, after_dispatch:approved"]
"""Killed, killed again on the way back, and once more."""
NOTICED = timedelta(seconds=3)
"""When Temporal gives the workflow task of a dead worker to another one; by itself it waits for ten."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kill_at" in metafunc.fixturenames:
        every = [*LEDGER_POINTS, *HISTORY_POINTS, *START_POINTS]
        full = metafunc.config.getoption("full")
        metafunc.parametrize("kill_at", [*every, *AGAIN] if full else ["history:20", *AGAIN])


@dataclass
class Scene:
    client: Client
    database: Database
    database_url: str
    temporal_address: str
    world: World
    models_url: str = ""

    def worker(self, kill_at: str = "") -> BaseProcess:
        errand = Errand(self.database_url, self.temporal_address, self.world.url, kill_at, self.models_url)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.certificate.victim"])
        process = context.Process(target=main, args=(errand,), daemon=True)
        process.start()
        return process


@pytest.fixture
async def scene(database: Database, database_url: str, temporal_address: str) -> AsyncIterator[Scene]:
    client = await connect(HoldfastPlugin(payloads=PostgresPayloads(database)), address=temporal_address)
    world = World()
    yield Scene(client, database, database_url, temporal_address, world)
    world.close()


def reference_run(world: World) -> RunInput:
    """One step of every class of tool, a fast one, and one that needs an approval, one after another."""
    again = StepRetry(attempts=2, wait_s=0.05)
    steps = [
        ToolStep(id=name, tool=name, arguments={"name": name}, retry=again, depends_on=before)
        for name, before in zip(ACTING, ((), *((name,) for name in ACTING)), strict=False)
    ]
    fast = ToolStep(id="fast", tool="calc", arguments={"expression": "2 + 3"}, depends_on=("irreversible",))
    approved = ToolStep(
        id="approved",
        tool="irreversible",
        arguments={"name": "approved", "text": "delicate"},
        retry=again,
        depends_on=("fast",),
    )
    tools = tuple(tool.spec for tool in (*tools_for(world.url), calc))
    return RunInput(
        run_id=new_id("run"),
        tenant="default",
        goal="certify",
        agent=AgentSpec(name="operator"),
        catalogue=Catalogue(tools=tools),
        state=RunState(plan=Plan(steps=(*steps, fast, approved))),
    )


@pytest.mark.timeout(150)
async def test_a_killed_worker_loses_and_repeats_nothing(scene: Scene, kill_at: str) -> None:
    run = reference_run(scene.world)
    await PostgresRuns(database=scene.database).create(run)
    handle = await scene.client.start_workflow(
        "AgentRun", run, id=run.run_id, task_queue="orchestration", task_timeout=NOTICED
    )
    result = asyncio.ensure_future(handle.result())
    deaths = [*kill_at.split(", "), ""]  # the last worker lives
    try:
        async with asyncio.timeout(140):
            while not result.done():
                await worked(scene, run.run_id, result, deaths)
    finally:
        result.cancel()
    if deaths != [""]:
        await assert_beyond_the_end(handle, kill_at)
    await everything_happened_once(scene, run.run_id, kill_at)


async def assert_beyond_the_end(handle: WorkflowHandle[Any, Any], kill_at: str) -> None:
    """The one reason not to have been killed: the run was over before its history was as long."""
    kind, _, length = kill_at.partition(":")
    assert kind == "history", "it was not killed where it was to be"
    events = (await handle.fetch_history()).events
    turns = [event.event_id for event in events if event.HasField("workflow_task_started_event_attributes")]
    assert int(length) > turns[-1], "it was not killed where it was to be"


async def worked(scene: Scene, run_id: str, result: asyncio.Future[Any], deaths: list[str]) -> None:
    """Until this worker is dead, or the run has ended."""
    worker = scene.worker(deaths[0])
    try:
        while worker.is_alive() and not result.done():
            await answer_truthfully(scene, run_id)
            await asyncio.wait({result}, timeout=0.1)
        worker.join(1 if deaths[0] else 0)  # the end of the run may have been its last moment
        if not worker.is_alive():
            assert worker.exitcode == -signal.SIGKILL
            del deaths[0]
    finally:
        worker.kill()
        worker.join()


async def answer_truthfully(scene: Scene, run_id: str) -> None:
    """The human of this run, and of those that work for it."""
    async with scene.database.tenant("default") as connection:
        cursor = await connection.execute("select id from runs where parent = %s", (run_id,))
        below = [row["id"] for row in await cursor.fetchall()]
    for each in (run_id, *below):
        await answer_for(scene, each)


async def answer_for(scene: Scene, run_id: str) -> None:
    """Approves what is asked, and says of a doubtful effect what the world says."""
    questions = await open_questions(scene, run_id)
    ledger = PostgresLedger(database=scene.database)
    effects = await ledger.effects("default", run_id) if questions else ()
    names = {effect.action_digest: effect.arguments["name"] for effect in effects if effect.tool != "calc"}
    for event in questions:
        in_doubt = event.data["subject"] == ApprovalSubject.EFFECT_UNKNOWN
        happened = bool(scene.world.effects[names[event.data["digest"]]]) if in_doubt else True
        await decide(
            scene.database,
            scene.client,
            run_id,
            event.data["approval_id"],
            event.data["digest"],
            approve=happened,
        )


async def open_questions(scene: Scene, run_id: str) -> list[RunEvent]:
    async with scene.database.tenant("default") as connection:
        cursor = await connection.execute(
            "select id from approvals where run_id = %s and status = 'pending'", (run_id,)
        )
        pending = {row["id"] for row in await cursor.fetchall()}
    story = await PostgresRuns(database=scene.database).events("default", run_id)
    return [
        event
        for event in story
        if event.type is EventType.APPROVAL_REQUESTED and event.data["approval_id"] in pending
    ]


async def everything_happened_once(scene: Scene, run_id: str, kill_at: str) -> None:
    run = await PostgresRuns(database=scene.database).read("default", run_id)
    story = await PostgresRuns(database=scene.database).events("default", run_id, limit=10_000)
    effects = await PostgresLedger(database=scene.database).effects("default", run_id)
    counts = {name: scene.world.effects[name] for name in (*ACTING, "approved")}
    note(kill_at, run.status.value, len(story), counts)
    assert run.status is RunStatus.SUCCEEDED, run.reason
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    assert {name: count for name, count in counts.items() if name != "read_only"} == dict.fromkeys(
        ("idempotent", "probed", "irreversible", "approved"), 1
    )
    assert {effect.status.value for effect in effects} <= {"succeeded", "failed"}
    assert not await open_questions(scene, run_id)
    async with scene.database.statement() as connection:
        cursor = await connection.execute(
            "select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'"
        )
        assert await cursor.fetchall() == []
