"""The vectors of memory: made as an item is written, or put off while whoever embeds is away."""

import asyncio
from typing import Any

import structlog

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge_vectors import CachedEmbedder
from holdfast.adapters.postgres.memory_recall import keep_graph
from holdfast.adapters.postgres.memory_rows import items_without_vector, locked, put_vector, situation
from holdfast.errors import HoldfastError
from holdfast.knowledge.indexing import View
from schemas.memory import MemoryContent

log = structlog.get_logger(__name__)

EMBEDDING_PATIENCE_S = 5.0
"""For an endpoint that embeds: a run waits meanwhile for what it recalls, or to have taught."""


class MemoryVectors:
    def __init__(self, *, database: Database, embedder: CachedEmbedder | None) -> None:
        self._database = database
        self._embedder = embedder

    async def _vector(self, tenant: str, content: MemoryContent) -> Any:
        if self._embedder is None:
            return None
        return (await self._embedder.embed(tenant, [View(0, situation(content))])).vectors[0]

    async def _early_vector(self, tenant: str, content: MemoryContent) -> Any:
        """None while an endpoint is away or slow: the upkeep sees to items without one."""
        try:
            async with asyncio.timeout(EMBEDDING_PATIENCE_S):
                return await self._vector(tenant, content)
        except (HoldfastError, TimeoutError) as error:
            log.warning("embedding_put_off", error=type(error).__name__)
            return None

    async def embed_early(self, tenant: str, *, limit: int) -> None:
        """As `embed_missing`, after items that stand whatever becomes of their vectors: an endpoint that is away, or
        answers amiss, is told of once and left to the upkeep.
        """
        try:
            await self.embed_missing(tenant, limit=limit)
        except HoldfastError as error:
            log.warning("embedding_put_off", error=type(error).__name__)

    async def embed_missing(self, tenant: str, *, limit: int) -> int:
        """Vectors for items that have none under the model at hand; how many."""
        if self._embedder is None:
            return 0
        async with self._database.tenant(tenant) as connection:
            rows = await items_without_vector(connection, self._embedder.model, limit)
        views = [View(0, situation(item.content)) for item in rows]
        vectors = (await self._embedder.embed(tenant, views)).vectors
        async with self._database.tenant(tenant) as connection:
            for item, vector in zip(rows, vectors, strict=True):
                # Forgotten meanwhile, it must not come back as a vector; changed, it has a newer one.
                if (await locked(connection, item.id)).version == item.version:
                    await put_vector(connection, tenant, item.id, self._embedder.model, vector)
            await keep_graph(connection, tenant, self._embedder.model)
        return len(rows)
