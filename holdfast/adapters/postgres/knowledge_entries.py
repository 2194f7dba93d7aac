"""Writes one entry of the index: the document's row and version, its chunks, its words, its vectors."""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.knowledge_rows import CONTENT
from holdfast.adapters.postgres.knowledge_vectors import to_text
from holdfast.knowledge.indexing import Entry
from holdfast.knowledge.ports import Vectors

Placed = Sequence[tuple[int, Vectors]]
ByModel = Mapping[str, Placed]
"""The vectors of a document under each model that has to have them."""

Outcome = Literal["added", "changed", "unchanged"]


Ready = tuple[Entry, ByModel]
"""What can be written: a document as it is indexed, and its vectors."""


async def write_entries(
    connection: Connection, tenant: str, entries: Sequence[Ready], author: str
) -> list[Outcome]:
    """Documents and everything derived from them."""
    grown = _Growth()
    outcomes = [
        await _write_entry(connection, tenant, entry, by_model, author, grown) for entry, by_model in entries
    ]
    # Last in the transaction: the tenant's row of totals is locked as briefly as may be.
    await connection.execute(
        "select count_knowledge(%s, %s, %s)", (grown.documents, grown.chunks, grown.length)
    )
    return outcomes


@dataclass
class _Growth:
    documents: int = 0
    chunks: int = 0
    length: float = 0.0


async def _write_entry(
    connection: Connection, tenant: str, entry: Entry, vectors: ByModel, author: str, grown: _Growth
) -> Outcome:
    """Nothing, where the same was written while this one was embedded."""
    before = await _standing(connection, tenant, entry)
    row = await _row(connection, tenant, entry, author)
    if row is None:
        return "unchanged"
    key, version = row
    document = entry.reading.document
    content = document.model_dump(mode="json", include={*CONTENT, "text", "updated_at"})
    await connection.execute(
        """insert into knowledge_versions (tenant, document, version, digest, content, author)
           values (%s, %s, %s, %s, %s, %s)""",
        (tenant, key, version, document.digest, Jsonb(content), author),
    )
    if version > 1:
        await _take_out(connection, key)
    await _put(connection, tenant, key, entry, vectors)
    was = before or {"documents": 0, "chunks": 0, "length": 0.0}
    grown.documents += 1 - was["documents"]
    grown.chunks += len(entry.reading.chunks) - was["chunks"]
    grown.length += entry.length - was["length"]
    return "added" if version == 1 else "changed"


async def index_entry(connection: Connection, tenant: str, key: int, entry: Entry, vectors: ByModel) -> None:
    """In place of what is indexed of the document now."""
    await _take_out(connection, key)
    await _put(connection, tenant, key, entry, vectors)


async def _take_out(connection: Connection, key: int) -> None:
    for table in ("knowledge_chunks", "knowledge_postings", "knowledge_vectors"):
        await connection.execute(f"delete from {table} where document = %s", (key,))


async def _put(connection: Connection, tenant: str, key: int, entry: Entry, vectors: ByModel) -> None:
    await _put_chunks(connection, tenant, key, entry)
    await _put_postings(connection, tenant, key, entry)
    for model, places in vectors.items():
        await put_vectors(connection, tenant, model, key, places)


async def _row(connection: Connection, tenant: str, entry: Entry, author: str) -> tuple[int, int] | None:
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
            where knowledge_documents.digest <> excluded.digest or knowledge_documents.deleted_at is not null
            returning key, version""",
        values,
    )
    row = await cursor.fetchone()
    return (row["key"], row["version"]) if row else None


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
           select %s, %s, %s, v.position, v.embedding::halfvec from unnest(%s::int[], %s::text[]) v (position, embedding)""",
        (tenant, model, key, [position for position, _ in places], [to_text(vector) for _, vector in places]),
    )
