"""The workflows beside a run: what they do over days, and their histories for `test_replay.py`. Their activities are
stand-ins under the real names, for what is asked here is order and waiting.

`pytest tests/replay/test_small_workflows.py --record-histories tests/replay/histories` records them anew.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.exceptions import ApplicationError
from temporalio.testing import TimeSkipper
from temporalio.worker import Worker

from holdfast.runtime.temporal import HoldfastPlugin, connect
from schemas.access import Principal
from schemas.agents import AgentSpec
from schemas.knowledge import IngestJob, IngestProgress
from schemas.runs import RunInput, RunOutput, RunRequest, RunStatus
from schemas.schedules import ScheduleDraft, ScheduledRequest
from schemas.webhooks import DeliveryRef
from tests.histories import write_down
from workflows import options
from workflows.ingest import Ingestion
from workflows.scheduled_run import ScheduledRun
from workflows.webhook_delivery import WebhookDelivery

LETTER = DeliveryRef(tenant="default", id="dlv_1")
NIGHTLY = ScheduledRequest(
    draft=ScheduleDraft(name="nightly", cron=("0 3 * * *",), run=RunRequest(goal="clean up")),
    principal=Principal(tenant="default", id="key:key_1"),
)


@workflow.defn(name="AgentRun")
class RunOfADay:
    """Stands in for the run: it takes a day, and no worker of ours."""

    @workflow.run
    async def run(self, start: RunInput) -> RunOutput:
        await workflow.sleep(timedelta(days=1))
        return RunOutput(run_id=start.run_id, status=RunStatus.SUCCEEDED)


@dataclass
class Outside:
    """A receiver that is away for some attempts, and a library with some pages left."""

    away: int = 0
    pages: int = 0
    attempts: int = 0
    buried: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)

    def activities(self) -> Sequence[Callable[..., Any]]:
        return (self.deliver, self.bury, self.ingest_page, self.ingest_finish, self.accept_scheduled)

    @activity.defn
    async def deliver(self, _ref: DeliveryRef) -> None:
        self.attempts += 1
        if self.attempts <= self.away:
            raise ApplicationError("the receiver answered 503", type="webhook_failed")

    @activity.defn
    async def bury(self, _ref: DeliveryRef, why: str) -> None:
        self.buried.append(why)

    @activity.defn
    async def ingest_page(self, _job: IngestJob) -> IngestProgress:
        self.pages -= 1
        return IngestProgress(left=self.pages)

    @activity.defn
    async def ingest_finish(self, _job: IngestJob) -> IngestProgress:
        return IngestProgress(done=3)

    @activity.defn
    async def accept_scheduled(self, scheduled: ScheduledRequest, execution: str) -> RunInput:
        self.runs.append(f"run_{uuid4().hex}")
        return RunInput(
            run_id=self.runs[-1],
            tenant=scheduled.principal.tenant,
            goal=scheduled.draft.run.goal,
            agent=AgentSpec(name="operator"),
        )


@asynccontextmanager
async def carried_out(address: str, outside: Outside) -> AsyncIterator[tuple[Client, str]]:
    """A client whose workflows skip the time in which nothing happens, and the queue of a worker for all of them."""
    client = await connect(HoldfastPlugin(), address=address)
    queue = f"small-{uuid4().hex}"
    workflows = [WebhookDelivery, Ingestion, ScheduledRun, RunOfADay]
    main = Worker(client, task_queue=queue, workflows=workflows, activities=outside.activities())
    pages = Worker(client, task_queue=options.KNOWLEDGE, activities=outside.activities())
    async with main, pages:
        yield TimeSkipper(client).client, queue


async def history_of(handle: WorkflowHandle[Any, Any], request: pytest.FixtureRequest) -> WorkflowHistory:
    """The whole history; written down where that was asked for."""
    history = await handle.fetch_history()
    if folder := request.config.getoption("record_histories"):
        write_down(history, Path(folder) / f"{request.node.name.removeprefix('test_')}.json")
    return history


def lasted(history: WorkflowHistory) -> timedelta:
    """By the clock of the workflow."""
    first, last = (history.events[end].event_time.ToDatetime() for end in (0, -1))
    return last - first


async def test_a_message_whose_receiver_is_away_for_hours_is_delivered(
    temporal_address: str, request: pytest.FixtureRequest
) -> None:
    outside = Outside(away=8)
    async with carried_out(temporal_address, outside) as (client, queue):
        handle = await client.start_workflow(WebhookDelivery.run, LETTER, id=f"dlv-{queue}", task_queue=queue)
        await handle.result()
        history = await history_of(handle, request)
    assert (outside.attempts, outside.buried) == (9, [])
    assert timedelta(hours=4) < lasted(history) < timedelta(hours=12)


async def test_a_message_that_nobody_takes_in_a_day_is_kept_as_dead(
    temporal_address: str, request: pytest.FixtureRequest
) -> None:
    outside = Outside(away=99)
    async with carried_out(temporal_address, outside) as (client, queue):
        handle = await client.start_workflow(WebhookDelivery.run, LETTER, id=f"dlv-{queue}", task_queue=queue)
        await handle.result()
        history = await history_of(handle, request)
    assert (outside.attempts, outside.buried) == (12, ["webhook_failed: the receiver answered 503"])
    assert timedelta(hours=18) < lasted(history) < timedelta(hours=48)


async def test_an_ingestion_takes_page_after_page_and_rests_between(
    temporal_address: str, request: pytest.FixtureRequest
) -> None:
    outside = Outside(pages=4)
    job = IngestJob(tenant="default", job="job_1", pause_s=60)
    async with carried_out(temporal_address, outside) as (client, queue):
        handle = await client.start_workflow(Ingestion.run, job, id=f"ingest-{queue}", task_queue=queue)
        assert (await handle.result()).done == 3
        history = await history_of(handle, request)
    assert timedelta(minutes=3) <= lasted(history) < timedelta(minutes=4)


async def test_what_a_schedule_starts_ends_with_its_run(
    temporal_address: str, request: pytest.FixtureRequest
) -> None:
    outside = Outside()
    async with carried_out(temporal_address, outside) as (client, queue):
        handle = await client.start_workflow(ScheduledRun.run, NIGHTLY, id=f"sched-{queue}", task_queue=queue)
        await handle.result()
        await history_of(handle, request)
        run = await client.get_workflow_handle(outside.runs[0]).fetch_history()
    assert (
        timedelta(days=1) <= lasted(run) < timedelta(days=1, hours=1)
    )  # each workflow has a clock of its own
