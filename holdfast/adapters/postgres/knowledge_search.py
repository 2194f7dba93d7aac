"""Finds documents: candidates by words and by vectors, every candidate measured by both, one order.

Small tenants and narrow filters are searched exactly; only above EXACT vectors does the HNSW index choose candidates.
"""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.adapters.postgres.knowledge_query import (
    COMMON,
    DENSE,
    EXACT_DOCUMENTS,
    GRAPH,
    GRAPH_THESE,
    LEXICAL,
    LEXICAL_THESE,
    RARITY,
    Query,
)
from holdfast.adapters.postgres.knowledge_rows import COLUMNS, document_of
from holdfast.adapters.postgres.knowledge_vectors import EXACT, CachedEmbedder, to_text
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
        async with self._database.tenant(tenant) as connection:
            await self._weigh(connection, query)
            if (embedder := self._embedders.get(query.in_force)) and request.signals != "lexical":
                query.vector = to_text(await embedder.embed_query(request.query))
                query.model, query.dimensions = embedder.model, embedder.dimensions
            ranked = await self._ranked(connection, query)
            shown = ranked
            if request.diverse:
                shown = diversified(
                    await _own_vectors(connection, query, ranked), ranked, limit=request.limit
                )
            hits = await _hits(connection, query, shown[: request.limit])
        if self._reranker is not None and hits:
            hits = reordered(hits, await self._reranker.rerank(request.query, hits))
        return _result(query, ranked, hits)

    async def _weigh(self, connection: Connection, query: Query) -> None:
        cursor = await connection.execute(
            RARITY,
            {
                "tenant": query.tenant,
                "terms": list(query.times) or [""],
                "cap": COMMON,
            },
        )
        for row in await cursor.fetchall():
            if row["term"]:
                query.rarities[row["term"]] = rarity(row["documents"], row["containing"])
                query.containing[row["term"]] = row["containing"]
            query.average = row["length"]
            query.vectors = row["documents"] + row["chunks"]
            query.in_force = row["model"] or ""

    async def _ranked(self, connection: Connection, query: Query) -> list[Candidate]:
        names = _signals(query)
        within = await _matching(connection, query) if query.where else None
        found: dict[int, Candidate] = {}
        if "lexical" in names:
            await _by_words(connection, query, found, within)
        by_words = set(found)
        if "dense" in names:
            nearest = await self._nearest(connection, query, within)
            await _by_vectors(connection, query, found, nearest)
        if len(names) > 1 and found:
            # Each candidate is measured by both signals, whichever brought it up.
            await _by_words(connection, query, found, [key for key in found if key not in by_words])
            unmeasured = [key for key, each in found.items() if each.dense is None]
            await _by_vectors(connection, query, found, unmeasured)
        return fuse(list(found.values()), signals=names)

    async def _nearest(self, connection: Connection, query: Query, within: list[int] | None) -> list[int]:
        """Which documents to measure: all that pass, while they are few; above, those the graph brings up."""
        if query.vectors <= EXACT or (within is not None and len(within) <= EXACT_DOCUMENTS):
            return within if within is not None else await _matching(connection, query)
        # Sorting would be exact and slow; it must not look cheap to a planner without statistics.
        await connection.execute(
            "select set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', '100', true),"
            " set_config('enable_sort', 'off', true)"
        )
        cursor = await connection.execute(
            GRAPH.format(among=GRAPH_THESE if within is not None else "", dimensions=int(query.dimensions)),
            query.parameters(keys=within, limit=2 * CANDIDATES),
        )
        keys = list({row["document"] for row in await cursor.fetchall()})
        await connection.execute("set local enable_sort = on")
        return keys


def _signals(query: Query) -> list[SignalName]:
    asked = query.request.signals
    wanted: list[SignalName] = ["dense", "lexical"] if asked == "hybrid" else [asked]
    return [name for name in wanted if name == "lexical" or query.vector is not None]


async def _matching(connection: Connection, query: Query) -> list[int]:
    cursor = await connection.execute(
        "select coalesce(array_agg(key), '{}') as keys from knowledge_matching(%s)", (Jsonb(query.where),)
    )
    row = await cursor.fetchone()
    return row["keys"] if row else []


async def _by_words(
    connection: Connection, query: Query, found: dict[int, Candidate], keys: list[int] | None
) -> None:
    """The best by words, among these documents or all."""
    if keys == []:
        return
    among = "" if keys is None else LEXICAL_THESE
    cursor = await connection.execute(LEXICAL.format(among=among), query.parameters(keys=keys))
    for row in await cursor.fetchall():
        candidate = found.setdefault(row["document"], Candidate(row["document"]))
        candidate.lexical, candidate.words = float(row["score"]), tuple(row["terms"])


async def _by_vectors(
    connection: Connection, query: Query, found: dict[int, Candidate], keys: list[int]
) -> None:
    """The nearest among these documents."""
    if not keys:
        return
    cursor = await connection.execute(DENSE, query.parameters(keys=keys))
    for row in await cursor.fetchall():
        candidate = found.setdefault(row["document"], Candidate(row["document"]))
        candidate.dense = nearness(row["own"], row["passage"], row["saying"])
        candidate.chunk = row["chunk"]


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
    cursor = await connection.execute(
        f"select d.key, {COLUMNS} from knowledge_documents d where d.key = any(%s)", (keys,)
    )
    rows = {row["key"]: row for row in await cursor.fetchall()}
    cursor = await connection.execute(
        """select document, position, path, lower(span) as start, upper(span) as "end", text, code, digest
           from knowledge_chunks c join unnest(%s::bigint[], %s::int[]) as k (key, near)
             on c.document = k.key and (k.near is null or c.position = k.near)
           order by document, position""",
        (keys, [candidate.chunk for candidate in ranked]),
    )
    chunks: dict[int, list[Chunk]] = {}
    for row in await cursor.fetchall():
        chunks.setdefault(row["document"], []).append(Chunk.model_validate(row))
    return [
        _hit(query, each, rows[each.key], chunks.get(each.key, [])) for each in ranked if each.key in rows
    ]


def _hit(query: Query, candidate: Candidate, row: Mapping[str, Any], chunks: Sequence[Chunk]) -> SearchHit:
    document = document_of(dict(row))
    chunk = best_chunk(chunks, candidate.words, candidate.chunk)
    shown = snippet_of(chunk, candidate.words) if chunk else None
    return SearchHit(
        document=document,
        score=candidate.score,
        signals=tuple(candidate.signals),
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
    note = "" if query.vector is not None or query.request.signals == "lexical" else _WORDS_ONLY
    if not ranked:
        return SearchResult(note=note or "Nothing matches.")
    nearest = max(candidate.dense or 0.0 for candidate in ranked) if query.vector is not None else None
    best = max(candidate.lexical for candidate in ranked)
    sure = confidence(nearest=nearest, covered=share_of_words(best, map(query.weight, query.rarities)))
    return SearchResult(
        hits=tuple(hits), confidence=sure, answered=sure >= SURE, model=query.model, note=note
    )


_WORDS_ONLY = (
    "No embedding model is at hand: words alone were searched. `holdfast doctor` says how to add one."
)
