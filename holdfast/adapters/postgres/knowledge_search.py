"""Finds documents: candidates by words and by vectors, every candidate measured by both, one order.

Small tenants and narrow filters are searched exactly; only above EXACT vectors does the HNSW index choose candidates.
"""

from collections import Counter
from collections.abc import Sequence

import structlog

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.adapters.postgres.knowledge_candidates import candidates, own_vectors, signals_of, weigh
from holdfast.adapters.postgres.knowledge_hits import hits_of, result_of
from holdfast.adapters.postgres.knowledge_query import Query
from holdfast.adapters.postgres.knowledge_vectors import CachedEmbedder, to_text
from holdfast.errors import HoldfastError
from holdfast.knowledge.fusion import Candidate, diversified, fuse, reordered
from holdfast.knowledge.kin import with_kinds
from holdfast.knowledge.ports import Reranker
from holdfast.knowledge.terms import terms_of
from schemas.knowledge import SearchHit, SearchRequest, SearchResult

log = structlog.get_logger(__name__)

RERANKED = 20
"""So many of the best go to a reranker, whatever number was asked for."""


class LibraryReader:
    """Asks the model in force; while another is being built, that is the one before, if its embedder is at hand."""

    def __init__(
        self, *, database: Database, embedders: Sequence[CachedEmbedder], reranker: Reranker | None
    ) -> None:
        self._database = database
        self._reranker = reranker
        self._embedders = {embedder.model: embedder for embedder in embedders}

    async def search(self, tenant: str, request: SearchRequest) -> SearchResult:
        query = Query(tenant, request, times=with_kinds(Counter(terms_of(request.query))))
        # Before a connection is taken: an endpoint far away may be slow.
        if request.signals != "lexical" and self._embedders:
            await _embed(query, next(iter(self._embedders.values())))
        async with self._database.tenant(tenant) as connection:
            await weigh(connection, query)
            await self._agree(query)
            ranked = fuse(await candidates(connection, query), signals=signals_of(query))
            hits = await hits_of(connection, query, await self._shown(connection, query, ranked))
        hits = await self._reranked(query, hits)
        return result_of(query, ranked, hits[: request.limit])

    async def _reranked(self, query: Query, hits: list[SearchHit]) -> list[SearchHit]:
        """A reranker that is away leaves the order as it was."""
        if self._reranker is None or not hits:
            return hits
        try:
            return reordered(hits, await self._reranker.rerank(query.request.query, hits))
        except HoldfastError as error:
            log.warning("reranking_failed", error=error.code)
            query.note = (
                f"The reranker did not answer ({error.code}): the order is that of words and meaning."
            )
            return hits

    async def _agree(self, query: Query) -> None:
        """Vectors of one model say nothing about those of another: the query has to be in the model in force."""
        if query.request.signals == "lexical" or query.model == query.in_force:
            return
        query.vector = query.model = None
        if embedder := self._embedders.get(query.in_force):
            query.note = ""
            await _embed(query, embedder)

    async def _shown(
        self, connection: Connection, query: Query, ranked: Sequence[Candidate]
    ) -> Sequence[Candidate]:
        """What is read in full: the best, or more of them where a reranker will choose."""
        limit = query.request.limit if self._reranker is None else max(query.request.limit, RERANKED)
        if query.request.diverse:
            return diversified(await own_vectors(connection, query, ranked), ranked, limit=limit)
        return ranked[:limit]


async def _embed(query: Query, embedder: CachedEmbedder) -> None:
    try:
        query.vector = to_text(await embedder.embed_query(query.request.query))
    except HoldfastError as error:
        log.warning("embedding_failed", model=embedder.model, error=error.code)
        query.note = f"The embedding model did not answer ({error.code}): words alone were searched."
        return
    query.model, query.dimensions = embedder.model, embedder.dimensions
