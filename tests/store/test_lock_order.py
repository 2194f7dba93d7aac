"""Two writers to one run at once: whichever comes first, neither waits for what the other holds."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.runs import PostgresRuns
from schemas.events import EventType, NewEvent
from schemas.runs import Run, RunStatus
from schemas.stages import ActRequest, RecordRequest, RunPatch
from schemas.tools import ToolResult
from tests.store.test_ledger import act, ask, dispatch, judge, new_run, scope_of
from tests.store.waiting import until_waiting

Write = Callable[[Database, Run, ActRequest, str], Coroutine[Any, Any, None]]


async def take_up(database: Database, run: Run, call: ActRequest, question: str) -> None:
    await PostgresRuns(database=database).take_up(run, by="alice")


async def end_lost(database: Database, run: Run, call: ActRequest, question: str) -> None:
    told = NewEvent(key="lost", type=EventType.RUN_ENDED)
    await PostgresRuns(database=database).end_lost(run, RunPatch(status=RunStatus.FAILED), told)


async def record(database: Database, run: Run, call: ActRequest, question: str) -> None:
    told = NewEvent(key="status", type=EventType.RUN_STATUS)
    patch = RunPatch(status=RunStatus.RUNNING)
    await PostgresRuns(database=database).record(
        RecordRequest(scope=scope_of(run), events=(told,), patch=patch)
    )


async def observe(database: Database, run: Run, call: ActRequest, question: str) -> None:
    await PostgresLedger(database=database).observe(call, ToolResult(ok=True))


async def expire(database: Database, run: Run, call: ActRequest, question: str) -> None:
    await PostgresApprovals(database=database).expire(run.tenant, question)


@pytest.mark.parametrize("other", [record, observe, expire])
@pytest.mark.parametrize("one", [take_up, end_lost])
async def test_writers_that_meet_at_a_run_do_not_wait_in_a_circle(
    database: Database, one: Write, other: Write
) -> None:
    run = await new_run(database)
    call, ledger = act(run), PostgresLedger(database=database)
    await ledger.give_verdict(*judge(call))
    assert await dispatch(ledger, call) == "go"
    question = await ask(database, act(run, step_id="other"))
    run = await PostgresRuns(database=database).read(run.tenant, run.id)
    async with asyncio.TaskGroup() as writers, database.tenant(run.tenant) as holder:
        await holder.execute("select from run_heads where run_id = %s for update", (run.id,))
        for count, write in enumerate((one, other), start=1):
            writers.create_task(write(database, run, call, question))
            await until_waiting(database, holder, count=count)
    story = await PostgresRuns(database=database).events(run.tenant, run.id)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
