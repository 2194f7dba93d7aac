"""A run through the real processes is one trace: from the request to its tool calls, over a killed worker and a wait."""

import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from api.access import bootstrap_key
from holdfast.adapters.postgres.database import Database
from holdfast.client import Holdfast
from holdfast.embedded.nursery import Nursery
from holdfast.embedded.parts import Program
from holdfast.embedded.ports import any_free
from holdfast.runtime import semconv
from schemas.events import EventType
from schemas.plans import Plan, ToolStep
from schemas.runs import RunRequest, RunStatus
from tests.runtime.collector import Collector, collector

PLAN = Plan(steps=(ToolStep(id="note", tool="shell", arguments={"command": "echo 1 > note.txt"}),))


@asynccontextmanager
async def born(log: Path) -> AsyncIterator[Nursery]:
    nursery = Nursery(os.environ, log=log)
    yield nursery
    await nursery.close()


@asynccontextmanager
async def working(
    nursery: Nursery, *arguments: str, log: Path, environment: Mapping[str, str]
) -> AsyncIterator[Program]:
    program = Program(
        arguments[0],
        arguments,
        log=log,
        environment={**os.environ, **environment},
        nursery=nursery,
        drain_s=30,
        silence_s=30,
    )
    await program.start()
    try:
        yield program
    finally:
        await program.stop()


async def test_a_run_is_one_trace_over_a_killed_worker_and_a_wait(
    database: Database, database_url: str, temporal_address: str, tmp_path: Path
) -> None:
    port, key = any_free(), await bootstrap_key(database)
    with collector() as found:
        environment = {
            "DATABASE_URL": database_url,
            "TEMPORAL_ADDRESS": temporal_address,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{found.port}",
            "HOLDFAST_API__PORT": str(port),
            "HOLDFAST_DATA_DIR": str(tmp_path),
        }
        worker = ("worker", "--queue", "all")
        async with (
            born(tmp_path / "nursery.log") as nursery,
            working(nursery, "api", log=tmp_path / "api.log", environment=environment),
            Holdfast(f"http://127.0.0.1:{port}", key) as holdfast,
        ):
            async with working(nursery, *worker, log=tmp_path / "1.log", environment=environment) as first:
                run = await holdfast.runs.start(
                    RunRequest(goal="write it down", environment="prod", plan=PLAN)
                )
                await asked(holdfast, run.id)
                os.kill(first.child.pid, signal.SIGKILL)
            (approval,) = (await holdfast.approvals.page(run_id=run.id)).items
            await holdfast.approvals.decide(approval, "approve")
            async with working(nursery, *worker, log=tmp_path / "2.log", environment=environment):
                async for _ in holdfast.runs.follow(run.id):
                    pass
            assert (await holdfast.runs.read(run.id)).status is RunStatus.SUCCEEDED
    check(found, run.id)


async def asked(holdfast: Holdfast, run_id: str) -> None:
    async for event in holdfast.runs.follow(run_id):
        if event.type is EventType.APPROVAL_REQUESTED:
            return


def check(found: Collector, run_id: str) -> None:
    root = next(one for _, one in found.spans if one.name == "POST /v1/runs")
    trace = {one.name: one for _, one in found.spans if one.trace_id == root.trace_id}
    assert {"POST /v1/runs", "act", "execute_tool shell", "answer"} <= set(trace)
    assert trace["execute_tool shell"].parent_span_id == trace["act"].span_id
    told = {item.key: item.value.string_value for item in trace["act"].attributes}
    assert (told[semconv.RUN_ID], told[semconv.STEP_ID]) == (run_id, "note")
    others = {one.name for _, one in found.spans if one.trace_id != root.trace_id}
    assert not others & {"act", "judge", "answer", "execute_tool shell"}
