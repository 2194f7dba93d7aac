"""A page of a durable ingestion, and its end."""

from temporalio import activity

from activities.heartbeat import heartbeats
from holdfast.knowledge.ports import IngestDesk
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
