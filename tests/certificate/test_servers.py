"""The same certificate with the servers as victims: Temporal and Postgres are killed under a run, and started again on
the data they left. `make certify` tries every sampled moment; `make test` one.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.migrate import migrate
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.embedded.postgres import DURABLE, EmbeddedPostgres
from holdfast.embedded.temporal import EmbeddedTemporal
from holdfast.errors import Unavailable
from holdfast.runtime.temporal import HoldfastPlugin, connect
from schemas.commands import CancelCommand, PauseCommand
from schemas.plans import WaitStep
from schemas.runs import RunStatus
from tests.certificate.test_certificate import (
    NOTICED,
    Scene,
    answer_truthfully,
    everything_happened_once,
    reference_run,
)
from tests.certificate.test_other_shapes import begun, each_happened_once, names_of, shapes, until_told
from tests.certificate.world import World

VICTIMS = ("temporal", "postgres", "both")
MOMENTS = (2, 5, 9, 14, 19, 24, 29)
SHORT = [("both", 14)]
SHAPES = [(shape, moment) for shape in ("moves", "agent") for moment in (3, 7)]
"""An agent's moves, and one that works for another run: killed under both servers."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "shape" in metafunc.fixturenames:
        metafunc.parametrize(("shape", "moment"), SHAPES)
    elif "moment" in metafunc.fixturenames:
        every = [(victim, moment) for victim in VICTIMS for moment in MOMENTS]
        metafunc.parametrize(("victim", "moment"), every if metafunc.config.getoption("full") else SHORT)


@dataclass
class Ground:
    """Servers that keep their data, as `holdfast up` starts them."""

    temporal: EmbeddedTemporal
    postgres: EmbeddedPostgres

    async def kill(self, victim: str) -> None:
        """SIGKILL, and a new start on the same folder, port and socket."""
        chosen: dict[str, list[EmbeddedTemporal | EmbeddedPostgres]] = {
            "temporal": [self.temporal],
            "postgres": [self.postgres],
            "both": [self.temporal, self.postgres],
        }
        for server in chosen[victim]:
            server.child.kill()
        for server in chosen[victim]:
            await server.child.wait()
            await server.start()


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    folder = tmp_path_factory.mktemp("ground")
    temporal = EmbeddedTemporal(log=folder / "temporal.log", database=folder / "temporal.db")
    postgres = EmbeddedPostgres(folder / "postgres", log=folder / "postgres.log", options=DURABLE)
    async with AsyncExitStack() as stack:
        for server in (temporal, postgres):
            await server.start()
            stack.push_async_callback(server.stop)
        await migrate(postgres.url)
        yield Ground(temporal, postgres)


@pytest.fixture
async def scene(ground: Ground) -> AsyncIterator[Scene]:
    database = await Database.open(ground.postgres.url)
    plugin = HoldfastPlugin(payloads=PostgresPayloads(database))
    client = await connect(plugin, address=ground.temporal.address)
    world = World()
    yield Scene(client, database, ground.postgres.url, ground.temporal.address, world)
    world.close()
    await database.close()


@pytest.mark.timeout(150)
async def test_killed_servers_lose_and_repeat_nothing(
    ground: Ground, scene: Scene, victim: str, moment: int
) -> None:
    run = reference_run(scene.world)
    await PostgresRuns(database=scene.database).create(run)
    await scene.client.start_workflow(
        "AgentRun", run, id=run.run_id, task_queue="orchestration", task_timeout=NOTICED
    )
    await outlived(ground, scene, run.run_id, victim, moment)
    await everything_happened_once(scene, run.run_id, f"{victim}:event {moment}")


@pytest.mark.long
@pytest.mark.timeout(150)
async def test_killed_servers_lose_and_repeat_nothing_of_an_agent_either(
    ground: Ground, scene: Scene, shape: str, moment: int
) -> None:
    handle = await begun(scene, shapes("agent"), moves=shape == "moves")
    await outlived(ground, scene, handle.id, "both", moment)
    await each_happened_once(scene, handle.id, names_of(shape), f"{shape}: both:event {moment}")
    assert (await handle.result()).status is RunStatus.SUCCEEDED


async def outlived(ground: Ground, scene: Scene, run_id: str, victim: str, moment: int) -> None:
    """The run, to its end, over the death of its servers when it has told so much."""
    runs, worker, killed = PostgresRuns(database=scene.database), scene.worker(), False
    try:
        async with asyncio.timeout(120):
            while not await ended(runs, run_id):
                assert worker.is_alive(), "a worker outlives an outage of its servers"
                if not killed and await told(runs, run_id) >= moment:
                    await ground.kill(victim)
                    killed = True
                await answer_if_they_serve(scene, run_id)
                await asyncio.sleep(0.01 if not killed else 0.1)
            # Its end is told before Temporal has heard of it: a worker that dies in between leaves it to another.
            await scene.client.get_workflow_handle(run_id).result()
    finally:
        worker.kill()
        worker.join()
    assert killed


async def ended(runs: PostgresRuns, run_id: str) -> bool:
    try:
        return (await runs.read("default", run_id)).status in (RunStatus.SUCCEEDED, RunStatus.FAILED)
    except Unavailable:
        return False


async def told(runs: PostgresRuns, run_id: str) -> int:
    try:
        return len(await runs.events("default", run_id, limit=10_000))
    except Unavailable:
        return 0


async def answer_if_they_serve(scene: Scene, run_id: str) -> None:
    try:
        await answer_truthfully(scene, run_id)
    except Unavailable:
        return


@pytest.mark.long
@pytest.mark.parametrize("told", ["run.status", "run.ended"])
@pytest.mark.timeout(150)
async def test_a_command_is_in_the_history_before_anything_is_told_of_it(
    ground: Ground, scene: Scene, told: str
) -> None:
    """The worker dies when it has told what follows, and Temporal forgets what it has not written down yet."""
    handle = await begun(scene, [WaitStep(id="wait", event="never")])
    worker = scene.worker(f"told:{told}")
    await until_told(scene, handle.id, "step.started", step="wait")
    command = ("pause", PauseCommand()) if told == "run.status" else ("cancel", CancelCommand())
    sent = asyncio.ensure_future(handle.execute_update(*command))
    await asyncio.to_thread(worker.join, 60)
    assert worker.exitcode == -signal.SIGKILL
    sent.cancel()
    await ground.kill("temporal")
    history = (await handle.fetch_history()).events
    assert [
        event for event in history if event.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    worker = scene.worker()
    try:
        if told == "run.status":
            await handle.execute_update("cancel", CancelCommand())
        async with asyncio.timeout(100):
            assert (await handle.result()).status is RunStatus.CANCELLED
    finally:
        worker.kill()
        worker.join()
    story = await PostgresRuns(database=scene.database).events("default", handle.id)
    kinds = [event.type.value for event in story]
    assert (kinds.count("run.started"), kinds.count("run.ended")) == (1, 1)
