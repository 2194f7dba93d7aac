"""A durable ingestion: page after page until nothing is left, through crashes, with a bounded history."""

from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityConfig

from workflows.options import KNOWLEDGE, LLM

with workflow.unsafe.imports_passed_through():
    from activities.ingest import IngestActivities, QuestionActivities
    from schemas.knowledge import IngestJob, IngestProgress

PAGE: Final[ActivityConfig] = {
    "task_queue": KNOWLEDGE,
    "start_to_close_timeout": timedelta(minutes=30),
    "heartbeat_timeout": timedelta(seconds=30),
    "retry_policy": RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
}
THOUGHT: Final[ActivityConfig] = {**PAGE, "task_queue": LLM}
PAGES_A_RUN: Final = 400


@workflow.defn
class Ingestion:
    """Its id is the job's, so that a job is never worked off twice at once."""

    def __init__(self) -> None:
        self._progress = IngestProgress()

    @workflow.run
    async def run(self, job: IngestJob) -> IngestProgress:
        pages = 0
        while True:
            self._progress = await self._page(job)
            if self._progress.left == 0:
                return await workflow.execute_activity_method(IngestActivities.ingest_finish, job, **PAGE)
            if job.pause_s:
                await workflow.sleep(job.pause_s)
            pages += 1
            if pages == PAGES_A_RUN:
                # With an empty history: a million documents are tens of thousands of pages.
                workflow.continue_as_new(job.model_copy(update={"pages": job.pages + pages}))

    async def _page(self, job: IngestJob) -> IngestProgress:
        if job.work == "questions":
            return await workflow.execute_activity_method(QuestionActivities.question_page, job, **THOUGHT)
        return await workflow.execute_activity_method(IngestActivities.ingest_page, job, **PAGE)

    @workflow.query
    def progress(self) -> IngestProgress:
        return self._progress
