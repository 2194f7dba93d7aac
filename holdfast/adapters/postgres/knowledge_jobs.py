"""Durable ingestion: documents wait in a table until each is read, and a whole library moves to another model."""

from collections.abc import Sequence
from functools import partial

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.adapters.postgres.knowledge_ingest import LibraryWriter, twice
from holdfast.errors import HoldfastError
from holdfast.knowledge.reading import refuse_unreadable
from schemas.knowledge import DocumentDraft, IngestFailure, IngestJob, IngestProgress

_PAGE = 500
_TOLD = 100
"""So many failures of a job are told."""


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
                    """insert into knowledge_staged (tenant, job, number, document, draft, outcome, code, message)
                       select %s, %s, s.number, s.document, s.draft,
                              case when s.code <> '' then 'failed' end, s.code, s.message
                       from unnest(%s::int[], %s::text[], %s::jsonb[], %s::text[], %s::text[])
                            s (number, document, draft, code, message)
                       on conflict do nothing""",
                    (
                        tenant,
                        job,
                        list(range(first + at, first + at + len(page))),
                        [draft.id for draft in page],
                        [
                            None if why else Jsonb(draft.model_dump(mode="json"))
                            for draft, why in zip(page, refused[at:], strict=False)
                        ],
                        [why.code if why else "" for why in refused[at : at + len(page)]],
                        [why.message if why else "" for why in refused[at : at + len(page)]],
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
            newer = await _given_since(connection, job)
        drafts = [DocumentDraft.model_validate(row["draft"]) for row in rows]
        report = await self._writer.ingest(
            job.tenant,
            [draft for draft in drafts if draft.id not in newer],
            author=job.author,
            more=True,
            told=partial(self._told, job, [row["number"] for row in rows]),
        )
        failed = {failure.id: failure for failure in report.failures}
        fine = IngestFailure(id="", code="", message="")
        told = [failed.get(draft.id, fine) for draft in drafts]
        async with self._database.tenant(job.tenant) as connection:
            await connection.execute(
                """update knowledge_staged s set outcome = case when n.code = '' then 'done' else 'failed' end,
                     code = n.code, message = n.message, draft = null
                   from unnest(%s::int[], %s::text[], %s::text[]) n (number, code, message)
                   where s.tenant = %s and s.job = %s and s.number = n.number""",
                (
                    [row["number"] for row in rows],
                    [each.code for each in told],
                    [each.message for each in told],
                    job.tenant,
                    job.job,
                ),
            )
        return await self.progress(job.tenant, job.job)

    async def _told(self, job: IngestJob, numbers: Sequence[int], embedded: int, passages: int) -> None:
        async with self._database.tenant(job.tenant) as connection:
            await connection.execute(
                """update knowledge_staged set embedded = %s, passages = %s
                   where tenant = %s and job = %s and number = %s""",
                (embedded, passages, job.tenant, job.job, min(numbers)),
            )

    async def progress(self, tenant: str, job: str) -> IngestProgress:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select coalesce(outcome, 'waiting') as outcome, count(*)::int as n,
                          sum(passages)::int as passages, sum(embedded)::int as embedded
                   from knowledge_staged where tenant = %s and job = %s group by 1""",
                (tenant, job),
            )
            rows = {row["outcome"]: row for row in await cursor.fetchall()}
        waiting = rows.pop("waiting", {"n": 0, "passages": 0, "embedded": 0})
        outcomes = {outcome: row["n"] for outcome, row in rows.items()}
        return IngestProgress(
            done=sum(outcomes.values()),
            left=waiting["n"],
            outcomes=outcomes,
            passages=waiting["passages"],
            embedded=waiting["embedded"],
        )

    async def failures(self, tenant: str, job: str) -> Sequence[IngestFailure]:
        """The first documents of a job that could not be read, with why."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select document as id, code, message from knowledge_staged
                   where tenant = %s and job = %s and outcome = 'failed' order by number limit %s""",
                (tenant, job, _TOLD),
            )
            return [IngestFailure.model_validate(row) for row in await cursor.fetchall()]

    async def finish(self, job: IngestJob) -> IngestProgress:
        """Build the graph where the tenant has grown large, and put a model that is complete in force."""
        await self._writer.settle(job.tenant)
        return await self.progress(job.tenant, job.job)


async def _given_since(connection: Connection, job: IngestJob) -> set[str]:
    """The ids of a job's next documents that somebody has written or taken out since they were put down."""
    cursor = await connection.execute(
        """select d.id from knowledge_documents d join (
             select draft ->> 'id' as id, at from knowledge_staged
             where tenant = %s and job = %s and outcome is null order by number limit %s
           ) s on s.id = d.id where greatest(d.ingested_at, d.deleted_at) > s.at""",
        (job.tenant, job.job, job.page),
    )
    return {row["id"] for row in await cursor.fetchall()}


def _refused(drafts: Sequence[DocumentDraft]) -> list[IngestFailure | None]:
    """For each, why it cannot go in; nothing, where nothing is known against it."""
    seen: set[str] = set()
    refused: list[IngestFailure | None] = []
    for draft in drafts:
        refused.append(twice(draft) if draft.id in seen else _unkeepable(draft))
        seen.add(draft.id)
    return refused


def _unkeepable(draft: DocumentDraft) -> IngestFailure | None:
    try:
        refuse_unreadable(draft)
    except HoldfastError as error:
        return IngestFailure(id=draft.id, code=error.code, message=str(error))
    return None
