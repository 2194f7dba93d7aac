"""Writes documents into the library. A document becomes visible whole: words, chunks and vectors in one transaction."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge_entries import (
    ByModel,
    Outcome,
    Placed,
    Ready,
    index_entry,
    put_vectors,
    write_entries,
)
from holdfast.adapters.postgres.knowledge_growth import keep_pace, recount
from holdfast.adapters.postgres.knowledge_lending import lent_words, names_lent, runbooks_for
from holdfast.adapters.postgres.knowledge_questions import asked_before, questions_of
from holdfast.adapters.postgres.knowledge_vectors import (
    CachedEmbedder,
    Told,
    declare_model,
    documents_left,
    documents_without,
    draft_of_row,
    model_in_force,
    nobody,
    put_in_force,
    still_at,
)
from holdfast.errors import HoldfastError
from holdfast.knowledge.indexing import Entry, View, entry_of, placed
from holdfast.knowledge.reading import Reading, read_draft
from schemas.knowledge import DocumentDraft, DocumentId, IngestFailure, IngestProgress, IngestReport

_TOGETHER = 20
"""So many documents are written at once: a commit each would wait for the disk as long as all the rest takes."""


@dataclass
class _Batch:
    """What a batch of drafts turned out to be."""

    fresh: list[Reading] = field(default_factory=list)
    failures: list[IngestFailure] = field(default_factory=list)
    later: list[DocumentId] = field(default_factory=list)
    unchanged: int = 0
    chunks: int = 0


class LibraryWriter:
    """`before` keeps its vectors complete for as long as it is the one that answers."""

    def __init__(
        self, *, database: Database, embedder: CachedEmbedder | None, before: CachedEmbedder | None = None
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._before = before

    async def ingest(
        self,
        tenant: str,
        drafts: Sequence[DocumentDraft],
        *,
        author: str,
        more: bool = False,
        most: int | None = None,
        told: Told = nobody,
    ) -> IngestReport:
        """Each document that can be read goes in; the others are told, with why. What is over so many passages as `most`
        waits for `later`. Where `more` follow, `settle` builds the graph at the end: under one, rows go in some hundred
        times slower.
        """
        batch = await self._sorted(tenant, drafts, most)
        entries = await self._entries(tenant, batch.fresh)
        vectors, embedded = await self._vectors(tenant, entries, told)
        # Documents that went in before there was a model are caught up with here.
        if batch.unchanged and self._embedder is not None:
            await self.embed_missing(tenant, limit=len(drafts))
        written = Counter[Outcome]()
        # In one order always: two that write the same documents wait for each other, and never both.
        ready = sorted(zip(entries, vectors, strict=True), key=lambda each: each[0].reading.document.id)
        for first in range(0, len(ready), _TOGETHER):
            written += await self._write(tenant, ready[first : first + _TOGETHER], author, batch.failures)
        await self._lend(tenant, names_lent(batch.fresh))
        if entries and not more:
            await self._keep_pace(tenant)
        return IngestReport(
            added=written["added"],
            changed=written["changed"],
            unchanged=batch.unchanged + written["unchanged"],
            chunks=batch.chunks,
            embedded=embedded,
            later=tuple(batch.later),
            failures=tuple(batch.failures),
        )

    async def _write(
        self, tenant: str, entries: Sequence[Ready], author: str, failures: list[IngestFailure]
    ) -> Counter[Outcome]:
        """Several in one transaction. One that Postgres cannot hold keeps none of the others out."""
        try:
            async with self._database.tenant(tenant) as connection:
                return Counter(await write_entries(connection, tenant, entries, author))
        except HoldfastError as error:
            if error.retryable:
                raise
            if len(entries) > 1:
                apart = [await self._write(tenant, [each], author, failures) for each in entries]
                return sum(apart, Counter())
            (entry, _), *_ = entries
            failures.append(IngestFailure(id=entry.reading.document.id, code=error.code, message=str(error)))
            return Counter()

    async def _sorted(self, tenant: str, drafts: Sequence[DocumentDraft], most: int | None) -> _Batch:
        standing = await self._digests(tenant, [draft.id for draft in drafts])
        # Large documents take long to read: others are served meanwhile.
        return await asyncio.to_thread(_read, drafts, standing, most)

    async def _entries(self, tenant: str, readings: Sequence[Reading]) -> list[Entry]:
        async with self._database.tenant(tenant) as connection:
            lent = await lent_words(connection, readings)
            asked = await asked_before(connection, [reading.document.id for reading in readings])
        return [
            entry_of(reading, (*lent.get(reading.document.id, ()), *questions_of(reading, asked)))
            for reading in readings
        ]

    async def _lend(self, tenant: str, names: Sequence[str]) -> None:
        """Index the runbooks that alert rules call so anew, with what the rules say."""
        if not names:
            return
        async with self._database.tenant(tenant) as connection:
            rows = await runbooks_for(connection, names)
        await self.index_anew(tenant, rows)

    async def index_anew(self, tenant: str, rows: Sequence[dict[str, Any]]) -> None:
        """Documents for which something is said now that is not in their text; their versions stay."""
        entries = await self._entries(tenant, [read_draft(draft_of_row(row)) for row in rows])
        vectors, _ = await self._vectors(tenant, entries)
        for row, entry, by_model in zip(rows, entries, vectors, strict=True):
            async with self._database.tenant(tenant) as connection:
                if await still_at(connection, row["key"], row["digest"]):
                    await connection.execute(
                        "update knowledge_documents set length = %s where key = %s",
                        (entry.length, row["key"]),
                    )
                    await index_entry(connection, tenant, row["key"], entry, by_model)
                    grown = entry.length - row["length"]
                    await connection.execute("select count_knowledge(0, 0, %s)", (grown,))

    async def _digests(self, tenant: str, ids: Sequence[str]) -> dict[str, str]:
        """The digest of each document that stands."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select id, digest from knowledge_documents
                   where tenant = %s and id = any(%s) and deleted_at is null""",
                (tenant, list(ids)),
            )
            return {row["id"]: row["digest"] for row in await cursor.fetchall()}

    async def _vectors(
        self, tenant: str, entries: Sequence[Entry], told: Told = nobody
    ) -> tuple[list[ByModel], int]:
        """The vectors of each entry, and how many chunks had to be embedded for them."""
        if self._embedder is None or not entries:
            return [{} for _ in entries], 0
        views = [view for entry in entries for view in entry.views]
        found: list[dict[str, Placed]] = [{} for _ in entries]
        computed: frozenset[str] = frozenset()
        for embedder in await self._embedders(tenant, self._embedder):
            embedded = await embedder.embed(tenant, views, told=told)
            computed |= embedded.computed
            at = 0
            for entry, by_model in zip(entries, found, strict=True):
                rows = embedded.vectors[at : at + len(entry.views)]
                by_model[embedder.model] = placed(entry.views, rows)
                at += len(entry.views)
        return list(found), _computed_chunks(views, computed)

    async def _embedders(self, tenant: str, current: CachedEmbedder) -> list[CachedEmbedder]:
        """The model at hand, and with it the one that still answers: a document is never found by halves."""
        async with self._database.tenant(tenant) as connection:
            await declare_model(connection, tenant, current.model, current.dimensions)
            in_force = await model_in_force(connection, tenant)
        older = self._before if self._before is not None and self._before.model == in_force else None
        return [current] if older is None else [current, older]

    async def embed_missing(self, tenant: str, *, limit: int) -> IngestProgress:
        """Give the next documents their vectors under this model, beside those of the model in force."""
        if self._embedder is None:
            return IngestProgress()
        async with self._database.tenant(tenant) as connection:
            await declare_model(connection, tenant, self._embedder.model, self._embedder.dimensions)
            rows = await documents_without(connection, self._embedder.model, limit)
        entries = await self._entries(tenant, [read_draft(draft_of_row(row)) for row in rows])
        views = [view for entry in entries for view in entry.views]
        vectors = (await self._embedder.embed(tenant, views)).vectors
        at = 0
        async with self._database.tenant(tenant) as connection:
            for row, entry in zip(rows, entries, strict=True):
                mine = vectors[at : at + len(entry.views)]
                at += len(entry.views)
                # A document changed meanwhile has new vectors already, or is found again.
                if await still_at(connection, row["key"], row["digest"]):
                    await connection.execute(
                        "delete from knowledge_vectors where document = %s and model = %s",
                        (row["key"], self._embedder.model),
                    )
                    await put_vectors(
                        connection, tenant, self._embedder.model, row["key"], placed(entry.views, mine)
                    )
            left = await documents_left(connection, self._embedder.model)
        return IngestProgress(done=len(rows), left=left)

    async def settle(self, tenant: str) -> None:
        """Count anew, put a complete model in force, drop the vectors before it, and index what has grown large."""
        async with self._database.tenant(tenant) as connection:
            await recount(connection, tenant)
            if self._embedder is not None:
                await declare_model(connection, tenant, self._embedder.model, self._embedder.dimensions)
                if not await documents_without(connection, self._embedder.model, 1):
                    await put_in_force(connection, tenant, self._embedder.model)
        await self._keep_pace(tenant)

    async def _keep_pace(self, tenant: str) -> None:
        async with self._database.tenant(tenant) as connection:
            model = self._embedder.model if self._embedder else None
            await keep_pace(
                connection, tenant, model=model, dimensions=self._embedder.dimensions if self._embedder else 0
            )


def _read(drafts: Sequence[DocumentDraft], standing: Mapping[str, str], most: int | None) -> _Batch:
    """Each draft read: as changed, as it stands, left for later, or refused."""
    batch = _Batch()
    taken = 0
    seen: set[str] = set()
    for draft in drafts:
        if draft.id in seen:
            batch.failures.append(twice(draft))
            continue
        seen.add(draft.id)
        try:
            reading = read_draft(draft)
        except HoldfastError as error:
            batch.failures.append(_failure(draft, error.code, str(error)))
            continue
        size = len(reading.chunks)
        if standing.get(draft.id) == reading.document.digest:
            batch.unchanged += 1
        elif most is not None and taken + size > most:
            batch.later.append(draft.id)
            continue
        else:
            taken += size
            batch.fresh.append(reading)
        batch.chunks += size
    return batch


def _computed_chunks(views: Sequence[View], computed: frozenset[str]) -> int:
    return sum(view.position >= 0 and view.digest in computed for view in views)


def twice(draft: DocumentDraft) -> IngestFailure:
    return _failure(draft, "duplicate_id", "Two documents of one call have this id.")


def _failure(draft: DocumentDraft, code: str, message: str) -> IngestFailure:
    return IngestFailure(id=draft.id, code=code, message=message)
