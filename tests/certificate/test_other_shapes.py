"""The same certificate for what a chain of steps does not show: a list whose items go out side by side, an undoing, a run
that goes on in new executions, an agent's moves, one that works for another run and reaches its share of the limits, people
who are waited for, a panel, two workers at once, and a cancelled call whose worker dies with it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateStage

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.embedded.temporal import TUNED, EmbeddedTemporal
from holdfast.ids import new_id
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Match, Reply, Rule
from schemas.agents import AgentSpec, RunLimits
from schemas.base import JsonObject
from schemas.commands import CancelCommand
from schemas.panels import PanelMethod, Voice
from schemas.plans import AgentStep, ApprovalStep, OnError, PanelStep, Plan, Step, ToolStep, WaitStep
from schemas.runs import RunInput, RunOutput, RunState, RunStatus
from schemas.tools import Catalogue
from tests.certificate.table import note
from tests.certificate.test_certificate import BOUNDARIES, NOTICED, Scene, answer_truthfully, worked
from tests.certificate.victim import VOICES, tools_for
from tests.certificate.world import World
from workflows.agent_run import AgentRun

Handle = WorkflowHandle[AgentRun, RunOutput]

SAFE = ("safe", "unsafe")
AGAIN = {"attempts": 2, "wait_s": 0.05}
DEATHS = {
    "fan": ["after_call:each", "after_dispatch:each", *(f"history:{n}" for n in range(5, 40, 3))],
    "undo": [
        *(f"{boundary}:undo_s2" for boundary in BOUNDARIES),
        *(f"history:{n}" for n in range(20, 50, 3)),
    ],
    "long": [f"{kind}:{n}" for kind in ("history", "rolled") for n in range(3, 63, 5)],
    "gate": [
        *(f"{boundary}:last" for boundary in BOUNDARIES),
        *(f"told:{kind}" for kind in ("run.status", "step.succeeded")),
        *(f"history:{n}" for n in range(3, 30, 2)),
    ],
    "panel": [f"told:{kind}" for kind in ("step.started", "model.called")]
    + [f"history:{n}" for n in range(3, 24, 3)],
    "share": ["after_call:move_1", "told:run.ended", *(f"history:{n}" for n in range(5, 35, 3))],
    "moves": ["after_call:move_2", "after_dispatch:move_1", *(f"history:{n}" for n in range(5, 40, 3))],
    "agent": ["after_call:move_1", "before_dispatch:move_2", *(f"history:{n}" for n in range(5, 40, 3))],
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kill_at" in metafunc.fixturenames:
        full = metafunc.config.getoption("full")
        chosen = DEATHS if full else {"fan": DEATHS["fan"][:1], "agent": DEATHS["agent"][:1]}
        pairs = [(shape, point) for shape, points in chosen.items() for point in points]
        metafunc.parametrize(("shape", "kill_at"), pairs)


def act(name: str, **fields: object) -> ToolStep:
    return ToolStep.model_validate(
        {"id": name, "tool": "irreversible", "arguments": {"name": name, "text": "x"}, "retry": AGAIN}
        | fields
    )


def shapes(shape: str) -> Sequence[Step]:
    """Every effect has a name of its own, by which the world counts it."""
    if shape == "fan":
        item: JsonObject = {"name": "${item}", "text": "x"}
        return [
            act("each", arguments=item, for_each="${inputs.names}", concurrency=3),
            act("last", depends_on=("each",)),
        ]
    if shape == "gate":
        return [
            ApprovalStep(id="gate", message="go on?"),
            act("ask", arguments={"name": "ask", "text": "delicate"}, depends_on=("gate",)),
            act("last", depends_on=("ask",)),
        ]
    if shape == "panel":
        asked = tuple(Voice(name=name, model=name) for name in VOICES)
        panel = PanelStep(
            id="panel", question="is it safe?", choices=SAFE, voices=asked, method=PanelMethod.VOTE
        )
        return [panel, act("last", depends_on=("panel",))]
    if shape == "share":
        half = AgentStep(
            id="ask", agent="operator", goal="m0 m1 m2", budget_share=0.5, on_error=OnError.CONTINUE
        )
        return [half, act("last", depends_on=("ask",))]
    if shape == "agent":
        return [AgentStep(id="ask", agent="operator", goal="m0 m1 m2"), act("last", depends_on=("ask",))]
    if shape == "undo":
        undoable = [
            act(
                f"s{n}",
                depends_on=(f"s{n - 1}",) if n else (),
                compensation={"tool": "irreversible", "arguments": {"name": f"undo_s{n}"}},
            )
            for n in range(4)
        ]
        return [*undoable, WaitStep(id="wait", event="never", depends_on=("s3",))]
    return [
        act(f"s{n}", arguments={"name": f"s{n}", "text": f"${{steps.s{n - 1}.output.name}}" if n else "x"})
        for n in range(24)
    ]


def names_of(shape: str) -> list[str]:
    if shape == "fan":
        return [f"n{n}" for n in range(8)] + ["last"]
    if shape == "undo":
        return [name for n in range(4) for name in (f"s{n}", f"undo_s{n}")]
    if shape in ("gate", "panel", "share"):
        return {"gate": ["ask", "last"], "panel": ["last"], "share": ["m0", "m1", "last"]}[shape]
    if shape in ("moves", "agent"):
        return ["m0", "m1", "m2", *(["last"] if shape == "agent" else [])]
    return [f"s{n}" for n in range(24)]


@pytest.fixture(scope="module")
async def impatient_address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Of a server that asks for a new execution after 60 events."""
    log = tmp_path_factory.mktemp("impatient") / "temporal.log"
    server = EmbeddedTemporal(log=log, dynamic={**TUNED, "limit.historyCount.suggestContinueAsNew": "60"})
    await server.start()
    yield server.address
    await server.stop()


@pytest.fixture
async def scene(database: Database, database_url: str, impatient_address: str) -> AsyncIterator[Scene]:
    client = await connect(HoldfastPlugin(payloads=PostgresPayloads(database)), address=impatient_address)
    world = World()
    async with ModelServer(rules=[says(name) for name in VOICES]) as models:
        yield Scene(client, database, database_url, impatient_address, world, models.base_url)
    world.close()


def says(model: str) -> Rule:
    data = {"answer": "because", "choice": "safe"}
    return Rule(match=Match(model=f"*{model}", form="voice"), replies=(Reply(data=data),))


async def begun(
    scene: Scene, steps: Sequence[Step], *, moves: bool = False, limits: RunLimits | None = None
) -> Handle:
    run = RunInput(
        run_id=new_id("run"),
        tenant="default",
        goal="m0 m1 m2" if moves else "certify",
        mode="react" if moves else "plan",
        agent=AgentSpec(name="operator"),
        limits=limits or RunLimits(),
        catalogue=Catalogue(tools=tuple(tool.spec for tool in tools_for(scene.world.url))),
        inputs={"names": names_of("fan")[:8]},
        state=RunState(plan=None if moves else Plan(steps=tuple(steps))),
    )
    await PostgresRuns(database=scene.database).create(run)
    return await scene.client.start_workflow(
        AgentRun.run, run, id=run.run_id, task_queue="orchestration", task_timeout=NOTICED
    )


@pytest.mark.timeout(150)
async def test_a_killed_worker_loses_and_repeats_nothing_of_this_shape_either(
    scene: Scene, shape: str, kill_at: str
) -> None:
    limits = RunLimits(steps=4) if shape == "share" else None
    handle = await begun(scene, shapes(shape), moves=shape == "moves", limits=limits)
    undoing = asyncio.create_task(cancelled_when_it_waits(scene, handle)) if shape == "undo" else None
    result = asyncio.ensure_future(handle.result())
    deaths = [kill_at, ""]
    async with asyncio.timeout(140):
        while not result.done():
            await worked(scene, handle.id, result, deaths)
    if undoing is not None:
        await undoing
    assert deaths == [""], "it was not killed where it was to be"
    await each_happened_once(scene, handle.id, names_of(shape), f"{shape}: {kill_at}")
    status = RunStatus.CANCELLED if shape == "undo" else RunStatus.SUCCEEDED
    assert (await result).status is status


async def cancelled_when_it_waits(scene: Scene, handle: Handle) -> None:
    """A cancel that is asked for once; the worker that is to take it may die over it."""
    await until_told(scene, handle.id, "step.started", step="wait")
    await handle.execute_update("cancel", CancelCommand(), id="once")


@pytest.mark.long
@pytest.mark.timeout(150)
async def test_two_workers_of_which_one_dies_do_everything_once(scene: Scene) -> None:
    handle = await begun(scene, shapes("fan"))
    result = asyncio.ensure_future(handle.result())
    survivor, victim = scene.worker(), scene.worker("after_call:each")
    try:
        async with asyncio.timeout(140):
            while not result.done():
                await answer_truthfully(scene, handle.id)
                await asyncio.wait({result}, timeout=0.1)
    finally:
        for worker in (survivor, victim):
            worker.kill()
            worker.join()
    await each_happened_once(scene, handle.id, names_of("fan"), "two workers")


@pytest.mark.timeout(150)
async def test_a_cancelled_call_whose_worker_dies_is_unknown_and_not_made_again(scene: Scene) -> None:
    """Temporal gives a cancelled activity no further attempt: nobody is left who could say how the call ended."""
    handle = await begun(scene, [act("stuck"), act("behind", depends_on=("stuck",))])
    scene.world.stall("stuck")
    worker = scene.worker()
    try:
        await until_told(scene, handle.id, "tool.dispatched", step="stuck")
        await until_reached(scene, "stuck")
        await handle.start_update("cancel", CancelCommand(), wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        worker.kill()
        worker.join()
        worker = scene.worker()
        async with asyncio.timeout(100):
            output = await handle.result()
    finally:
        worker.kill()
        worker.join()
    assert output.status is RunStatus.CANCELLED
    effects = await PostgresLedger(database=scene.database).effects("default", handle.id)
    assert [(effect.step_id, effect.status.value) for effect in effects] == [("stuck", "unknown")]
    assert dict(scene.world.calls) == {"stuck": 1}


async def until_told(scene: Scene, run_id: str, kind: str, *, step: str) -> None:
    runs = PostgresRuns(database=scene.database)
    async with asyncio.timeout(100):
        while True:
            story = await runs.events("default", run_id, limit=10_000)
            if any(event.type.value == kind and event.step_id == step for event in story):
                return
            await asyncio.sleep(0.02)


async def until_reached(scene: Scene, name: str) -> None:
    async with asyncio.timeout(60):
        while not scene.world.calls[name]:  # noqa: ASYNC110 - the world sets no event of ours
            await asyncio.sleep(0.02)


async def each_happened_once(scene: Scene, run_id: str, names: Sequence[str], title: str) -> None:
    story = await PostgresRuns(database=scene.database).events("default", run_id, limit=10_000)
    effects = await PostgresLedger(database=scene.database).effects("default", run_id)
    run = await PostgresRuns(database=scene.database).read("default", run_id)
    note(title, run.status.value, len(story), dict(scene.world.effects))
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    assert dict(scene.world.effects) == dict.fromkeys(names, 1)
    assert {effect.status.value for effect in effects} <= {"succeeded", "failed"}
