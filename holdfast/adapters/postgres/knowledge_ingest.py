"""Writes documents into the library. A document becomes visible whole: words, chunks and vectors in one transaction."""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.adapters.postgres.knowledge_lending import alerts_in, lent_words, name_of, runbooks_for
from holdfast.adapters.postgres.knowledge_rows import CONTENT
from holdfast.adapters.postgres.knowledge_vectors import (
    EXACT,
    CachedEmbedder,
    declare_model,
    documents_left,
    documents_without,
    draft_of_row,
    put_in_force,
    recount,
    still_at,
    to_text,
    vectors_of,
)
from holdfast.errors import HoldfastError
from holdfast.knowledge.indexing import Entry, View, entry_of, placed
from holdfast.knowledge.ports import Vectors
from holdfast.knowledge.reading import Reading, read_draft
from schemas.knowledge import DocumentDraft, DocumentKind, IngestFailure, IngestProgress, IngestReport

Placed = list[tuple[int, Vectors]]


@dataclass
class _Batch:
    """What a batch of drafts turned out to be."""

    fresh: list[Reading] = field(default_factory=list)
    failures: list[IngestFailure] = field(default_factory=list)
    unchanged: int = 0
    chunks: int = 0
    known: set[str] = field(default_factory=set)


class LibraryWriter:
    def __init__(self, *, database: Database, embedder: CachedEmbedder | None) -> None:
        self._database = database
        self._embedder = embedder

    async def ingest(self, tenant: str, drafts: Sequence[DocumentDraft], *, author: str) -> IngestReport:
        """Each document that can be read goes in; the others are told, with why."""
        batch = await self._sorted(tenant, drafts)
        entries = await self._entries(tenant, batch.fresh)
        vectors, embedded = await self._vectors(tenant, entries)
        added = 0
        # Documents that went in before there was a model are caught up with here.
        if batch.unchanged and self._embedder is not None:
            await self.embed_missing(tenant, limit=len(drafts))
        for entry, places in zip(entries, vectors, strict=True):
            async with self._database.tenant(tenant) as connection:
                added += await self._write(connection, tenant, entry, places, author)
        await self._lend(tenant, alerts_in(batch.fresh))
        return IngestReport(
            added=added,
            changed=len(batch.fresh) - added,
            unchanged=batch.unchanged,
            chunks=batch.chunks,
            embedded=embedded,
            failures=tuple(batch.failures),
        )

    async def _sorted(self, tenant: str, drafts: Sequence[DocumentDraft]) -> _Batch:
        batch = _Batch()
        standing = await self._digests(tenant, [draft.id for draft in drafts])
        seen: set[str] = set()
        for draft in drafts:
            if draft.id in seen:
                batch.failures.append(
                    _failure(draft, "duplicate_id", "Two documents of one call have this id.")
                )
                continue
            seen.add(draft.id)
            try:
                reading = read_draft(draft)
            except HoldfastError as error:
                batch.failures.append(_failure(draft, error.code, str(error)))
                continue
            batch.chunks += len(reading.chunks)
            if standing.get(draft.id) == reading.document.digest:
                batch.unchanged += 1
            else:
                batch.fresh.append(reading)
        return batch

    async def _entries(self, tenant: str, readings: Sequence[Reading]) -> list[Entry]:
        async with self._database.tenant(tenant) as connection:
            lent = await lent_words(connection, [name_of(reading.document) for reading in readings])
        return [entry_of(reading, _lent_to(reading, lent)) for reading in readings]

    async def _lend(self, tenant: str, alerts: Sequence[str]) -> None:
        """Index the runbooks of these alerts anew, with what their rules say; their versions stay."""
        if not alerts:
            return
        async with self._database.tenant(tenant) as connection:
            rows = await runbooks_for(connection, alerts)
        entries = await self._entries(tenant, [read_draft(draft_of_row(row)) for row in rows])
        vectors, _ = await self._vectors(tenant, entries)
        for row, entry, places in zip(rows, entries, vectors, strict=True):
            async with self._database.tenant(tenant) as connection:
                if await still_at(connection, row["key"], row["digest"]):
                    await connection.execute(
                        "update knowledge_documents set length = %s where key = %s",
                        (entry.length, row["key"]),
                    )
                    await self._index(connection, tenant, row["key"], entry, places)
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

    async def _vectors(self, tenant: str, entries: Sequence[Entry]) -> tuple[list[Placed], int]:
        """The vectors of each entry, and how many chunks had to be embedded for them."""
        if self._embedder is None or not entries:
            return [[] for _ in entries], 0
        views = [view for entry in entries for view in entry.views]
        embedded = await self._embedder.embed(tenant, views)
        result, at = [], 0
        for entry in entries:
            result.append(placed(entry.views, embedded.vectors[at : at + len(entry.views)]))
            at += len(entry.views)
        return result, _computed_chunks(views, embedded.computed)

    async def embed_missing(self, tenant: str, *, limit: int) -> IngestProgress:
        """Give the next documents their vectors under this model, beside those of the model in force."""
        if self._embedder is None:
            return IngestProgress()
        async with self._database.tenant(tenant) as connection:
            await declare_model(connection, tenant, self._embedder.model, self._embedder.dimensions)
            rows = await documents_without(connection, self._embedder.model, limit)
        entries = await self._entries(tenant, [read_draft(draft_of_row(row)) for row in rows])
        vectors, _ = await self._vectors(tenant, entries)
        async with self._database.tenant(tenant) as connection:
            for row, places in zip(rows, vectors, strict=True):
                # A document changed meanwhile has new vectors already, or is found again.
                if await still_at(connection, row["key"], row["digest"]):
                    await connection.execute(
                        "delete from knowledge_vectors where document = %s and model = %s",
                        (row["key"], self._embedder.model),
                    )
                    await put_vectors(connection, tenant, self._embedder.model, row["key"], places)
            left = await documents_left(connection, self._embedder.model)
        return IngestProgress(done=len(rows), left=left)

    async def settle(self, tenant: str) -> None:
        """Count anew, put a complete model in force, drop the vectors before it, and index what has grown large."""
        async with self._database.tenant(tenant) as connection:
            await recount(connection, tenant)
            if self._embedder is None:
                return
            await declare_model(connection, tenant, self._embedder.model, self._embedder.dimensions)
            if await documents_without(connection, self._embedder.model, 1):
                return
            await put_in_force(connection, tenant, self._embedder.model)
            if await vectors_of(connection, tenant) > EXACT:
                await connection.execute(
                    "select index_vectors(%s, %s)", (self._embedder.model, self._embedder.dimensions)
                )

    async def _write(
        self, connection: Connection, tenant: str, entry: Entry, places: Placed, author: str
    ) -> bool:
        """The document and everything derived from it; true where it is new."""
        before = await _standing(connection, tenant, entry)
        key, version = await self._row(connection, tenant, entry, author)
        document = entry.reading.document
        content = document.model_dump(mode="json", include={*CONTENT, "text", "updated_at"})
        await connection.execute(
            """insert into knowledge_versions (tenant, document, version, digest, content, author)
               values (%s, %s, %s, %s, %s, %s)""",
            (tenant, key, version, document.digest, Jsonb(content), author),
        )
        await self._index(connection, tenant, key, entry, places)
        await self._count(connection, entry, before)
        return version == 1

    async def _index(
        self, connection: Connection, tenant: str, key: int, entry: Entry, places: Placed
    ) -> None:
        for table in ("knowledge_chunks", "knowledge_postings", "knowledge_vectors"):
            await connection.execute(f"delete from {table} where document = %s", (key,))
        await _put_chunks(connection, tenant, key, entry)
        await _put_postings(connection, tenant, key, entry)
        if self._embedder is not None:
            await declare_model(connection, tenant, self._embedder.model, self._embedder.dimensions)
            await put_vectors(connection, tenant, self._embedder.model, key, places)

    async def _count(self, connection: Connection, entry: Entry, before: dict[str, Any] | None) -> None:
        """Last in the transaction: the tenant's row of totals is locked as briefly as may be."""
        was = before or {"documents": 0, "chunks": 0, "length": 0.0}
        now = (1 - was["documents"], len(entry.reading.chunks) - was["chunks"], entry.length - was["length"])
        await connection.execute("select count_knowledge(%s, %s, %s)", now)

    async def _row(self, connection: Connection, tenant: str, entry: Entry, author: str) -> tuple[int, int]:
        document = entry.reading.document
        values = document.model_dump(
            include={*CONTENT, "id", "digest", "chunks", "runnable", "updated_at"}, mode="python"
        )
        values |= {"tenant": tenant, "author": author, "length": entry.length}
        values |= {"tags": list(document.tags), "questions": list(document.questions)}
        names = list(values)
        cursor = await connection.execute(
            f"""insert into knowledge_documents ({", ".join(names)}, version)
                values ({", ".join(f"%({name})s" for name in names)}, 1)
                on conflict (tenant, id) do update set
                  {", ".join(f"{name} = excluded.{name}" for name in names if name not in ("tenant", "id"))},
                  version = knowledge_documents.version + 1, ingested_at = clock_timestamp(), deleted_at = null
                returning key, version""",
            values,
        )
        row = await cursor.fetchone()
        assert row is not None, "an upsert returns its row"  # noqa: S101 -- tells the type checker what SQL promises
        return row["key"], row["version"]


def _computed_chunks(views: Sequence[View], computed: frozenset[str]) -> int:
    return sum(view.position >= 0 and view.digest in computed for view in views)


def _lent_to(reading: Reading, lent: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    is_runbook = reading.document.kind is DocumentKind.RUNBOOK
    return lent.get(name_of(reading.document), ()) if is_runbook else ()


def _failure(draft: DocumentDraft, code: str, message: str) -> IngestFailure:
    return IngestFailure(id=draft.id, code=code, message=message)


async def _standing(connection: Connection, tenant: str, entry: Entry) -> dict[str, Any] | None:
    cursor = await connection.execute(
        """select 1 as documents, chunks, length from knowledge_documents
           where tenant = %s and id = %s and deleted_at is null for update""",
        (tenant, entry.reading.document.id),
    )
    return await cursor.fetchone()


async def _put_chunks(connection: Connection, tenant: str, key: int, entry: Entry) -> None:
    chunks = entry.reading.chunks
    await connection.execute(
        """insert into knowledge_chunks (tenant, document, position, path, span, text, code, digest)
           select %s, %s, c.* from unnest(%s::int[], %s::jsonb[], %s::int4range[], %s::text[], %s::bool[], %s::text[]) c""",
        (
            tenant,
            key,
            [chunk.position for chunk in chunks],
            [Jsonb(list(chunk.path)) for chunk in chunks],
            [f"[{chunk.start},{chunk.end})" for chunk in chunks],
            [chunk.text for chunk in chunks],
            [chunk.code for chunk in chunks],
            [chunk.digest for chunk in chunks],
        ),
    )


async def _put_postings(connection: Connection, tenant: str, key: int, entry: Entry) -> None:
    await connection.execute(
        """insert into knowledge_postings (tenant, term, document, frequency, length)
           select %s, p.term, %s, p.frequency, %s from unnest(%s::text[], %s::real[]) p (term, frequency)""",
        (tenant, key, entry.length, list(entry.frequencies), list(entry.frequencies.values())),
    )


async def put_vectors(connection: Connection, tenant: str, model: str, key: int, places: Placed) -> None:
    await connection.execute(
        """insert into knowledge_vectors (tenant, model, document, position, embedding)
           select %s, %s, %s, v.position, v.embedding::vector from unnest(%s::int[], %s::text[]) v (position, embedding)""",
        (tenant, model, key, [position for position, _ in places], [to_text(vector) for _, vector in places]),
    )
