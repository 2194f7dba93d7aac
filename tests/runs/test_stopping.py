"""A row of calls that is stopped: by a cancellation, by its worker's end, with Postgres there or away. Each test stops it
at one exact moment. Whatever was written as dispatched is called or told as stopped, and nothing waits for ever."""

import asyncio

import pytest
from temporalio.activity import ActivityCancellationDetails

from activities.act import ActActivities
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.database import Database
from holdfast.errors import NotBegun
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.actions import Action
from schemas.tools import ToolResult, ToolSpec
from tests.runs.held_row import CANCELLED, SHUTDOWN, Row, called, ended, judged_row


@pytest.fixture
async def row(database: Database) -> Row:
    return await judged_row(database)


async def test_cancelled_while_the_ledger_answers_the_first_dispatch(row: Row) -> None:
    door, task = row.hold("dispatch"), row.begin()
    await door.reached.wait()
    row.environment.cancel(CANCELLED)
    door.open.set()
    assert await ended(task) is None
    assert row.world.said == []
    assert await row.effects() == {"a": "failed"}


async def test_cancelled_while_the_ledger_answers_for_two_calls_at_once(row: Row) -> None:
    door, task = row.hold("pair"), row.begin()
    await door.reached.wait()
    row.environment.cancel(CANCELLED)
    door.open.set()
    assert await ended(task) is None
    assert row.world.said == ["a"]
    assert await row.effects() == {"a": "succeeded", "b": "failed"}


async def test_cancelled_during_a_call(row: Row) -> None:
    task = row.begin()
    await called(row, "b")
    row.environment.cancel(CANCELLED)
    assert await ended(task) is None
    assert await row.effects() == {"a": "succeeded", "b": "failed"}


async def test_cancelled_while_the_end_of_the_last_call_is_told(row: Row) -> None:
    row.calls = row.calls[:1]
    door, task = row.hold("observe"), row.begin()
    await door.reached.wait()
    row.environment.cancel(CANCELLED)
    door.open.set()
    reports = await ended(task)
    assert reports is not None
    assert [report.state for report in reports.reports] == ["done"]
    assert await row.effects() == {"a": "succeeded"}


async def test_cancelled_while_postgres_is_away_it_tells_when_postgres_is_back(row: Row) -> None:
    row.ledger.away.set()
    task = row.begin()
    await called(row, "b")
    row.environment.cancel(CANCELLED)
    await row.ledger.asked_while_away.wait()
    row.ledger.away.clear()
    assert await ended(task) is None
    assert await row.effects() == {"a": "succeeded", "b": "failed"}


async def test_a_worker_that_goes_calls_what_it_has_dispatched_and_nothing_more(row: Row) -> None:
    door, task = row.hold("pair"), row.begin()
    await door.reached.wait()
    row.environment.worker_shutdown()
    row.world.gates.setdefault("door", asyncio.Event()).set()
    door.open.set()
    reports = await ended(task)
    assert reports is not None
    assert [report.state for report in reports.reports] == ["done", "done"]
    assert row.world.said == ["a", "b"]
    assert await row.effects() == {"a": "succeeded", "b": "succeeded"}


async def test_a_call_that_outlasts_the_drain_stays_in_doubt(row: Row) -> None:
    task = row.begin()
    await called(row, "b")
    row.environment.worker_shutdown()
    row.environment.cancel(SHUTDOWN)
    assert await ended(task) is None
    assert await row.effects() == {"a": "succeeded", "b": "dispatched"}


@pytest.mark.parametrize("why", [CANCELLED, SHUTDOWN], ids=["cancelled", "drained"])
async def test_a_worker_that_goes_does_not_wait_for_a_postgres_that_is_away(
    row: Row, why: ActivityCancellationDetails
) -> None:
    row.ledger.away.set()
    row.calls, row.world.gates["door"] = row.calls[1:2], asyncio.Event()
    task = row.begin()
    await called(row, "b")
    row.world.gates["door"].set()
    await row.ledger.asked_while_away.wait()
    row.environment.cancel(why)
    row.environment.worker_shutdown()
    assert await ended(task) is None
    assert await row.effects() == {"b": "dispatched"}


async def test_a_worker_that_goes_does_not_wait_for_a_postgres_that_hangs(row: Row) -> None:
    door, task = row.hold("pair"), row.begin()
    await door.reached.wait()
    row.environment.cancel(CANCELLED)
    row.environment.worker_shutdown()
    assert await ended(task) is None
    assert row.world.said == ["a"]


async def test_what_was_called_before_its_tool_was_changed_is_in_doubt_and_not_refused(row: Row) -> None:
    task = row.begin()
    await called(row, "b")
    row.environment.worker_shutdown()
    row.environment.cancel(SHUTDOWN)
    await ended(task)
    changed = [call.model_copy(update={"tool_digest": "sha256:" + "f" * 64}) for call in row.calls]
    states = []
    for call in changed:
        again = Row(row.ledger, row.world, row.scope, row.activity, [call])
        reports = await ended(again.begin())
        assert reports is not None
        states.append(reports.reports[0].state)
    assert states == ["done", "unknown", "refused"]
    assert row.world.said == ["a", "b"]


class Away(RegistryToolHost):
    """What its tools need is away, and nothing was asked of it."""

    async def call(self, action: Action, spec: ToolSpec, *, idempotency_key: str) -> ToolResult:
        raise NotBegun("The server cannot be reached.", remedy="Is it up?")


async def test_a_call_that_was_never_begun_has_failed_and_leaves_no_doubt(
    row: Row, database: Database
) -> None:
    """It is irreversible: asked again, nobody could say whether the first attempt had gone out."""
    host = Away(Registry(row.world.tools()))
    artifacts = PostgresArtifacts(database=database)
    row.activity = ActActivities(ledger=row.ledger, tools=host, artifacts=artifacts, worker="test")
    reports = await ended(row.begin())
    assert reports is not None
    (report,) = reports.reports
    assert report.result is not None
    assert report.result.error is not None
    assert (report.state, report.result.error.code, report.result.error.remedy) == (
        "done",
        "unavailable",
        "Is it up?",
    )
    assert await row.effects() == {"a": "failed"}
