"""A page of a durable ingestion, and its end."""

from temporalio import activity

from activities.heartbeat import heartbeats
from holdfast.knowledge.ports import IngestDesk, QuestionDesk
from schemas.knowledge import IngestJob, IngestProgress


class IngestActivities:
    def __init__(self, *, desk: IngestDesk) -> None:
        self._desk = desk

    @activity.defn
    async def ingest_page(self, job: IngestJob) -> IngestProgress:
        """Safe to repeat: a document that went in is unchanged the second time, and embedded texts are cached."""
        async with heartbeats():
            return await self._desk.page(job)

    @activity.defn
    async def ingest_finish(self, job: IngestJob) -> IngestProgress:
        """Safe to repeat: it puts in force what is complete, and does nothing where it is."""
        async with heartbeats():
            return await self._desk.finish(job)


class QuestionActivities:
    """On the `llm` queue, where the model keys are."""

    def __init__(self, *, desk: QuestionDesk | None) -> None:
        self._desk = desk

    @activity.defn
    async def question_page(self, job: IngestJob) -> IngestProgress:
        """Safe to repeat: a document about which a model has been asked is left alone. Without a model nothing is left."""
        if self._desk is None:
            return IngestProgress()
        async with heartbeats():
            return await self._desk.page(job)
