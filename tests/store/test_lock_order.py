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
from schemas.tools import EffectClass, ToolResult
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


async def test_a_pair_of_calls_and_a_worker_that_still_has_the_second_do_not_wait_in_a_circle(
    database: Database,
) -> None:
    """As where a worker that was given up for dead ends its call, while another is at the next."""
    run = await new_run(database)
    first, second, ledger = act(run), act(run, step_id="second"), PostgresLedger(database=database)
    for call in (first, second):
        await ledger.give_verdict(*judge(call))
        assert await dispatch(ledger, call) == "go"
    done = ToolResult(ok=True)
    async with asyncio.TaskGroup() as writers, database.tenant(run.tenant) as holder:
        await holder.execute("select from run_heads where run_id = %s for update", (run.id,))
        pair = writers.create_task(
            ledger.observe_and_dispatch(first, done, second, effect=EffectClass.READ_ONLY, worker="late")
        )
        await until_waiting(database, holder, count=1)
        writers.create_task(ledger.observe(second, done))
        await until_waiting(database, holder, count=2)
    assert pair.result().outcome == "in_doubt"
    assert {effect.status.value for effect in await ledger.effects(run.tenant, run.id)} == {"succeeded"}


async def test_whoever_postgres_rolls_back_to_end_a_circle_is_called_again(database: Database) -> None:
    run = await new_run(database)
    calls, ledger = [act(run, step_id=name) for name in ("one", "two")], PostgresLedger(database=database)
    for call in calls:
        await ledger.give_verdict(*judge(call))
        assert await dispatch(ledger, call) == "go"
    mine = b"select set_config('holdfast.tenant', %s, true)", (run.tenant,)
    head = b"select from run_heads where run_id = %s for update", (run.id,)
    one, two = [
        (b"select 1 as held from effects where action_digest = %s for update", (call.digest,))
        for call in calls
    ]
    async with asyncio.TaskGroup() as writers, database.tenant(run.tenant) as holder:
        await holder.execute(*head)
        circle = []
        for count, row in enumerate([[one, head, two], [two, head]], start=1):
            circle.append(writers.create_task(database.calls([mine, *row])))
            await until_waiting(database, holder, count=count)
    assert [len(writer.result()) for writer in circle] == [4, 3]
