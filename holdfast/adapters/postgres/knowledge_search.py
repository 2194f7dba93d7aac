"""Finds documents: candidates by words and by vectors, every candidate measured by both, one order.

Small tenants and narrow filters are searched exactly; only above EXACT vectors does the HNSW index choose candidates.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.adapters.postgres.knowledge_growth import EXACT
from holdfast.adapters.postgres.knowledge_query import (
    COUNTED,
    EXACT_DOCUMENTS,
    FIND_BY_WORDS,
    FIND_EXACTLY,
    FIND_EXACTLY_AMONG,
    FIND_NEAR,
    FIND_NEAR_AMONG,
    GRAPH_SETTINGS,
    HITS,
    RARITY,
    Query,
    graph,
    words_of,
)
from holdfast.adapters.postgres.knowledge_rows import document_of
from holdfast.adapters.postgres.knowledge_vectors import CachedEmbedder, to_text
from holdfast.errors import HoldfastError
from holdfast.knowledge.bm25 import rarity
from holdfast.knowledge.confidence import SURE, confidence, share_of_words
from holdfast.knowledge.fusion import (
    CANDIDATES,
    Candidate,
    SignalName,
    diversified,
    fuse,
    nearness,
    reordered,
)
from holdfast.knowledge.ports import Reranker
from holdfast.knowledge.snippets import best_chunk, snippet_of
from holdfast.knowledge.terms import terms_of
from schemas.knowledge import Chunk, SearchHit, SearchRequest, SearchResult

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
        query = Query(tenant, request, times=Counter(terms_of(request.query)))
        # Before a connection is taken: an endpoint far away may be slow.
        if request.signals != "lexical" and self._embedders:
            await _embed(query, next(iter(self._embedders.values())))
        async with self._database.tenant(tenant) as connection:
            await _weigh(connection, query)
            await self._agree(query)
            ranked = fuse(await _candidates(connection, query), signals=_signals(query))
            hits = await _hits(connection, query, await self._shown(connection, query, ranked))
        hits = await self._reranked(query, hits)
        return _result(query, ranked, hits[: request.limit])

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
            await _embed(query, embedder)

    async def _shown(
        self, connection: Connection, query: Query, ranked: Sequence[Candidate]
    ) -> Sequence[Candidate]:
        """What is read in full: the best, or more of them where a reranker will choose."""
        limit = query.request.limit if self._reranker is None else max(query.request.limit, RERANKED)
        if query.request.diverse:
            return diversified(await _own_vectors(connection, query, ranked), ranked, limit=limit)
        return ranked[:limit]


async def _embed(query: Query, embedder: CachedEmbedder) -> None:
    try:
        query.vector = to_text(await embedder.embed_query(query.request.query))
    except HoldfastError as error:
        log.warning("embedding_failed", model=embedder.model, error=error.code)
        query.note = f"The embedding model did not answer ({error.code}): words alone were searched."
        return
    query.model, query.dimensions = embedder.model, embedder.dimensions


async def _weigh(connection: Connection, query: Query) -> None:
    cursor = await connection.execute(
        RARITY, {"tenant": query.tenant, "terms": list(query.times) or [""], "counted": COUNTED}
    )
    for row in await cursor.fetchall():
        if row["term"]:
            query.rarities[row["term"]] = rarity(row["documents"], row["containing"])
            query.containing[row["term"]] = row["containing"]
        query.average = row["length"]
        query.vectors = row["documents"] + row["chunks"]
        query.in_force = row["model"] or ""


def _signals(query: Query) -> list[SignalName]:
    asked = query.request.signals
    wanted: list[SignalName] = ["dense", "lexical"] if asked == "hybrid" else [asked]
    return [name for name in wanted if name == "lexical" or query.vector is not None]


async def _candidates(connection: Connection, query: Query) -> list[Candidate]:
    """The best by words and the nearest, each measured by both signals, whichever brought it up."""
    if not _signals(query):
        return []
    cursor = await connection.execute(*await _find(connection, query))
    terms = query.terms()
    return [_candidate(row, terms) for row in await cursor.fetchall()]


async def _find(connection: Connection, query: Query) -> tuple[str, dict[str, Any]]:
    """All that pass are measured while they are few; above, those the graph brings up."""
    if query.vectors <= EXACT:
        if query.vector is None and not query.where:
            return FIND_BY_WORDS, query.parameters()
        return (FIND_EXACTLY_AMONG if query.where else FIND_EXACTLY), query.parameters()
    within = await _matching(connection, query) if query.where else None
    if query.vector is None:
        near: list[int] = []
    elif within is not None and len(within) <= EXACT_DOCUMENTS:
        near = within
    else:
        near = await _nearest(connection, query, within)
    if within is None and query.finds_by_words:
        return FIND_NEAR, query.parameters(near=near)
    return FIND_NEAR_AMONG, query.parameters(near=near, keys=near if within is None else within)


async def _nearest(connection: Connection, query: Query, within: list[int] | None) -> list[int]:
    await connection.execute(GRAPH_SETTINGS)
    cursor = await connection.execute(
        graph(query.dimensions, among=within is not None),
        query.parameters(keys=within, limit=2 * CANDIDATES),
    )
    row = await cursor.fetchone()
    return row["keys"] if row else []


async def _matching(connection: Connection, query: Query) -> list[int]:
    cursor = await connection.execute(
        "select coalesce(array_agg(key), '{}') as keys from knowledge_matching(%s)", (Jsonb(query.where),)
    )
    row = await cursor.fetchone()
    return row["keys"] if row else []


def _candidate(row: Mapping[str, Any], terms: Sequence[str]) -> Candidate:
    own = row["own"]
    return Candidate(
        row["document"],
        lexical=float(row["score"]),
        dense=None if own is None else nearness(own, row["passage"], row["saying"]),
        chunk=row["chunk"],
        words=words_of(terms, row["terms"]),
    )


async def _own_vectors(
    connection: Connection, query: Query, ranked: Sequence[Candidate]
) -> dict[int, list[float]]:
    cursor = await connection.execute(
        """select document, embedding::real[] as embedding from knowledge_vectors
           where document = any(%s) and model = %s and position = -1""",
        ([candidate.key for candidate in ranked], query.model),
    )
    return {row["document"]: row["embedding"] for row in await cursor.fetchall()}


async def _hits(connection: Connection, query: Query, ranked: Sequence[Candidate]) -> list[SearchHit]:
    keys = [candidate.key for candidate in ranked]
    cursor = await connection.execute(HITS, {"keys": keys, "near": [candidate.chunk for candidate in ranked]})
    rows = {row["key"]: row for row in await cursor.fetchall()}
    return [_hit(query, each, rows[each.key]) for each in ranked if each.key in rows]


def _hit(query: Query, candidate: Candidate, row: dict[str, Any]) -> SearchHit:
    document = document_of(row)
    chunks = [Chunk.model_validate(passage) for passage in row["passages"]]
    chunk = best_chunk(chunks, candidate.words, candidate.chunk)
    shown = snippet_of(chunk, candidate.words) if chunk else None
    return SearchHit(
        document=document,
        score=candidate.score,
        signals=candidate.signals,
        section=chunk.path if chunk else (),
        snippet=shown.text if shown else "",
        start=shown.start if shown else 0,
        end=shown.end if shown else 0,
        words=tuple(sorted(candidate.words, key=lambda term: -query.rarities.get(term, 0.0))),
        why=_why(query, candidate),
    )


def _why(query: Query, candidate: Candidate) -> str:
    words = sorted(candidate.words, key=lambda term: -query.rarities.get(term, 0.0))[:5]
    parts = [f"shares the words {', '.join(words)}"] if words else []
    if query.vector is not None:
        parts.append(f"means nearly the same (cosine {candidate.dense or 0:.2f})")
    return " and ".join(parts) or "nothing in it speaks for it"


def _result(query: Query, ranked: Sequence[Candidate], hits: list[SearchHit]) -> SearchResult:
    words_only = query.vector is None and query.request.signals != "lexical"
    note = query.note or (_WORDS_ONLY if words_only else "")
    if not ranked:
        return SearchResult(note=note or "Nothing matches.")
    nearest = max(candidate.dense or 0.0 for candidate in ranked) if query.vector is not None else None
    best = max(candidate.lexical for candidate in ranked)
    covered = share_of_words(best, map(query.weight, query.rarities)) if query.terms() else None
    sure = confidence(nearest=nearest, covered=covered)
    return SearchResult(
        hits=tuple(hits), confidence=sure, answered=sure >= SURE, model=query.model, note=note
    )


_WORDS_ONLY = (
    "No embedding model is at hand: words alone were searched. `holdfast doctor` says how to add one."
)
