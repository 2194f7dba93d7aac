"""Has a model think of the questions that passages answer, a few documents at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge_ingest import LibraryWriter
from holdfast.adapters.postgres.knowledge_questions import asked_before, keep_asked, never_asked
from holdfast.adapters.postgres.knowledge_vectors import draft_of_row
from holdfast.errors import ModelRefused
from holdfast.knowledge.ports import QuestionWriter
from holdfast.knowledge.reading import Reading, read_draft
from schemas.knowledge import IngestJob, IngestProgress

log = structlog.get_logger(__name__)

_DOCUMENTS = 5


class LibraryQuestions:
    """Fulfils `holdfast.knowledge.ports.QuestionDesk`. A document is asked about once in each version."""

    def __init__(self, *, database: Database, writer: LibraryWriter, asker: QuestionWriter) -> None:
        self._database = database
        self._writer = writer
        self._asker = asker

    async def page(self, job: IngestJob) -> IngestProgress:
        async with self._database.tenant(job.tenant) as connection:
            rows = await never_asked(connection, min(job.page, _DOCUMENTS))
            earlier = await asked_before(connection, [row["id"] for row in rows])
        for row in rows:
            await self._ask(job.tenant, row, earlier.get(row["id"], {}))
        await self._writer.index_anew(job.tenant, rows)
        waiting = rows[0]["waiting"] if rows else 0
        return IngestProgress(done=len(rows), left=waiting - len(rows))

    async def _ask(self, tenant: str, row: dict[str, Any], earlier: Mapping[str, Sequence[str]]) -> None:
        """A passage that stood in the version before keeps its questions; only new ones cost a call."""
        reading = read_draft(draft_of_row(row))
        asked = {chunk.digest: earlier[chunk.digest] for chunk in reading.chunks if chunk.digest in earlier}
        asked |= await self._new(tenant, reading, asked)
        async with self._database.tenant(tenant) as connection:
            await keep_asked(connection, row["key"], row["digest"], asked)

    async def _new(
        self, tenant: str, reading: Reading, asked: Mapping[str, Sequence[str]]
    ) -> Mapping[str, Sequence[str]]:
        fresh = [chunk for chunk in reading.chunks if chunk.digest not in asked and not chunk.code]
        if not fresh:
            return {}
        title = reading.document.title
        try:
            told = await self._asker.questions(tenant, title, [chunk.text for chunk in fresh])
        except ModelRefused as error:
            # One document that a model makes nothing of keeps no other from being asked about.
            log.warning("questions_refused", document=reading.document.id, error=str(error))
            return {}
        return {chunk.digest: questions for chunk, questions in zip(fresh, told, strict=True)}
