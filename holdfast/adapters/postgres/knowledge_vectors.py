"""Vectors in Postgres: which models a tenant has, which texts are embedded already, which rows are indexed."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.errors import Conflict
from holdfast.knowledge.indexing import View
from holdfast.knowledge.ports import Embedder, Vectors
from schemas.knowledge import DocumentDraft

ASKED = "asked"
"""Where a version keeps the questions a model thought of, by the digest of the passage."""

_BATCH = 64

Told = Callable[[int, int], Awaitable[None]]
"""Hears, batch by batch, how many of how many texts have their vectors."""


async def nobody(_embedded: int, _all: int) -> None:
    """Nobody waits to hear."""


@dataclass(frozen=True)
class Embedded:
    vectors: Vectors
    computed: frozenset[str]


class CachedEmbedder:
    """Embeds each text once: what the cache has is read, the rest is computed in batches and kept."""

    def __init__(self, *, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    async def embed(self, tenant: str, views: Sequence[View], *, told: Told = nobody) -> Embedded:
        digests = [view.digest for view in views]
        known = await self._known(tenant, digests)
        wanted = {
            digest: view.text for digest, view in zip(digests, views, strict=True) if digest not in known
        }
        # Texts of one length together: padding costs as much as words do.
        order = sorted(wanted, key=lambda digest: len(wanted[digest]))
        for first in range(0, len(order), _BATCH):
            await told(len(known), len(known) + len(order) - first)
            batch = order[first : first + _BATCH]
            vectors = await self._embedder.embed([wanted[digest] for digest in batch])
            known |= dict(zip(batch, vectors, strict=True))
            await self._keep(tenant, dict(zip(batch, vectors, strict=True)))
        rows = [known[digest] for digest in digests]
        stacked = np.stack(rows) if rows else np.zeros((0, self.dimensions), np.float32)
        return Embedded(stacked, frozenset(wanted))

    async def embed_query(self, text: str) -> Vectors:
        vectors: Vectors = (await self._embedder.embed([text]))[0]
        return vectors

    async def _known(self, tenant: str, digests: Sequence[str]) -> dict[str, Vectors]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """update embedding_cache set used_at = clock_timestamp()
                   where tenant = %s and model = %s and digest = any(%s)
                   returning digest, embedding::text as embedding""",
                (tenant, self.model, list(set(digests))),
            )
            return {row["digest"]: from_text(row["embedding"]) for row in await cursor.fetchall()}

    async def _keep(self, tenant: str, vectors: dict[str, Vectors]) -> None:
        digests = sorted(vectors)
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                """insert into embedding_cache (tenant, model, digest, embedding)
                   select %s, %s, v.digest, v.embedding::halfvec
                   from unnest(%s::text[], %s::text[]) v (digest, embedding) on conflict do nothing""",
                (tenant, self.model, digests, [to_text(vectors[digest]) for digest in digests]),
            )


def to_text(vector: Vectors) -> str:
    """As pgvector reads it, at the half precision it is kept in: each number is looked up among all that there are."""
    halves = np.asarray(vector, dtype=np.float16).view(np.uint16)
    return "[" + ",".join(map(_spelt_halves().__getitem__, halves.tolist())) + "]"


@lru_cache(maxsize=1)
def _spelt_halves() -> list[str]:
    """Each of the 65,536 numbers of half precision, by its bits: to spell it anew for every vector costs ten times as much."""
    return [f"{number:.5g}" for number in np.arange(1 << 16, dtype=np.uint16).view(np.float16).tolist()]


def from_text(text: str) -> Vectors:
    return np.array(text[1:-1].split(","), dtype=np.float32)


async def declare_model(connection: Connection, tenant: str, model: str, dimensions: int) -> None:
    """Know the model; the first of a tenant becomes active. Raises Conflict where its dimensions have changed."""
    await connection.execute(
        """insert into knowledge_models (tenant, model, dimensions, state)
           select %s, %s, %s, case when exists (select from knowledge_models where state = 'active')
                              then 'building' else 'active' end
           on conflict (tenant, model) do nothing""",
        (tenant, model, dimensions),
    )
    cursor = await connection.execute("select dimensions from knowledge_models where model = %s", (model,))
    row = await cursor.fetchone()
    if row and row["dimensions"] != dimensions:
        raise Conflict(
            f"Model {model} gives {dimensions} dimensions; its vectors here have {row['dimensions']}.",
            remedy="Give the changed model a name of its own, and re-embed.",
            model=model,
        )


async def documents_left(connection: Connection, model: str) -> int:
    cursor = await connection.execute(
        """select count(*) as n from knowledge_documents d where d.deleted_at is null and not exists (
             select from knowledge_vectors x where x.document = d.key and x.model = %s)""",
        (model,),
    )
    row = await cursor.fetchone()
    return row["n"] if row else 0


async def documents_without(connection: Connection, model: str, limit: int) -> list[dict[str, Any]]:
    """Documents in the search that have no vector under this model."""
    cursor = await connection.execute(
        """select d.key, d.id, d.digest, v.content from knowledge_documents d
           join knowledge_versions v on v.document = d.key and v.version = d.version
           where d.deleted_at is null and not exists (
             select from knowledge_vectors x where x.document = d.key and x.model = %s)
           order by d.key limit %s""",
        (model, limit),
    )
    return await cursor.fetchall()


def draft_of_row(row: dict[str, Any]) -> DocumentDraft:
    content = {key: value for key, value in row["content"].items() if key != ASKED}
    return DocumentDraft.model_validate({"id": row["id"], **content})


async def still_at(connection: Connection, key: int, digest: str) -> bool:
    cursor = await connection.execute(
        "select from knowledge_documents where key = %s and digest = %s and deleted_at is null for update",
        (key, digest),
    )
    return await cursor.fetchone() is not None


async def put_in_force(connection: Connection, tenant: str, model: str) -> None:
    """One model answers at a time; the switch is one transaction, so no search sees half of it."""
    cursor = await connection.execute(
        """update knowledge_models set state = 'retired'
           where tenant = %s and state = 'active' and model <> %s returning model""",
        (tenant, model),
    )
    retired = [row["model"] for row in await cursor.fetchall()]
    await connection.execute(
        "update knowledge_models set state = 'active' where tenant = %s and model = %s", (tenant, model)
    )
    await connection.execute(
        "delete from knowledge_vectors where tenant = %s and model = any(%s)", (tenant, retired)
    )


async def model_in_force(connection: Connection, tenant: str) -> str | None:
    cursor = await connection.execute(
        "select model from knowledge_models where tenant = %s and state = 'active'", (tenant,)
    )
    row = await cursor.fetchone()
    return row["model"] if row else None
