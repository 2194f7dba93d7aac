"""Durable ingestion: documents wait in a table until each is read, and a whole library moves to another model."""

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge_ingest import LibraryWriter
from holdfast.errors import HoldfastError
from holdfast.knowledge.reading import refuse_unreadable
from schemas.knowledge import DocumentDraft, IngestJob, IngestProgress

_PAGE = 500
TWICE = "Two documents of one job have this id."


class LibraryJobs:
    """Fulfils `holdfast.knowledge.ports.IngestDesk`. Every call may be made again without doing anything twice."""

    def __init__(self, *, database: Database, writer: LibraryWriter) -> None:
        self._database = database
        self._writer = writer

    async def stage(self, tenant: str, job: str, drafts: Sequence[DocumentDraft], *, first: int = 0) -> int:
        """Put documents down for a job, numbered from `first`; how many are down now. Of two with one id the first goes in;
        what cannot be kept as text is told at once.
        """
        refused = _refused(drafts)
        async with self._database.tenant(tenant) as connection:
            for at in range(0, len(drafts), _PAGE):
                page = drafts[at : at + _PAGE]
                await connection.execute(
                    """insert into knowledge_staged (tenant, job, number, draft, outcome, message)
                       select %s, %s, s.number, s.draft, case when s.refused <> '' then 'failed' end, s.refused
                       from unnest(%s::int[], %s::jsonb[], %s::text[]) s (number, draft, refused)
                       on conflict do nothing""",
                    (
                        tenant,
                        job,
                        list(range(first + at, first + at + len(page))),
                        [
                            None if why else Jsonb(draft.model_dump(mode="json"))
                            for draft, why in zip(page, refused[at:], strict=False)
                        ],
                        refused[at : at + len(page)],
                    ),
                )
            cursor = await connection.execute(
                "select count(*) as n from knowledge_staged where job = %s", (job,)
            )
            row = await cursor.fetchone()
        return row["n"] if row else 0

    async def page(self, job: IngestJob) -> IngestProgress:
        """Read the next documents of a job, or embed the next of the library, and say what is left."""
        if job.work == "embed":
            return await self._writer.embed_missing(job.tenant, limit=job.page)
        async with self._database.tenant(job.tenant) as connection:
            cursor = await connection.execute(
                """select number, draft from knowledge_staged
                   where tenant = %s and job = %s and outcome is null order by number limit %s""",
                (job.tenant, job.job, job.page),
            )
            rows = await cursor.fetchall()
        drafts = [DocumentDraft.model_validate(row["draft"]) for row in rows]
        report = await self._writer.ingest(job.tenant, drafts, author=job.author, more=True)
        failed = {failure.id: failure.message for failure in report.failures}
        numbers = [row["number"] for row in rows]
        outcomes = ["failed" if draft.id in failed else "done" for draft in drafts]
        messages = [failed.get(draft.id, "") for draft in drafts]
        async with self._database.tenant(job.tenant) as connection:
            await connection.execute(
                """update knowledge_staged s set outcome = n.outcome, message = n.message, draft = null
                   from unnest(%s::int[], %s::text[], %s::text[]) n (number, outcome, message)
                   where s.tenant = %s and s.job = %s and s.number = n.number""",
                (numbers, outcomes, messages, job.tenant, job.job),
            )
        return await self.progress(job.tenant, job.job)

    async def progress(self, tenant: str, job: str) -> IngestProgress:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select coalesce(outcome, 'waiting') as outcome, count(*)::int as n
                   from knowledge_staged where tenant = %s and job = %s group by 1""",
                (tenant, job),
            )
            counts = {row["outcome"]: row["n"] for row in await cursor.fetchall()}
        left = counts.pop("waiting", 0)
        return IngestProgress(done=sum(counts.values()), left=left, outcomes=counts)

    async def finish(self, job: IngestJob) -> IngestProgress:
        """Build the graph where the tenant has grown large, and put a model that is complete in force."""
        await self._writer.settle(job.tenant)
        return await self.progress(job.tenant, job.job)


def _refused(drafts: Sequence[DocumentDraft]) -> list[str]:
    """For each, why it cannot go in; empty, where nothing is known against it."""
    seen: set[str] = set()
    refused: list[str] = []
    for draft in drafts:
        refused.append(TWICE if draft.id in seen else _unkeepable(draft))
        seen.add(draft.id)
    return refused


def _unkeepable(draft: DocumentDraft) -> str:
    try:
        refuse_unreadable(draft)
    except HoldfastError as error:
        return str(error)
    return ""
