"""The candidates of a search: the best by words and the nearest, every one of them measured by both."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.knowledge_growth import EXACT
from holdfast.adapters.postgres.knowledge_query import (
    COUNTED,
    EXACT_DOCUMENTS,
    OWN_DOCUMENTS,
    Query,
    words_of,
)
from holdfast.adapters.postgres.knowledge_statements import (
    AMONG_GIVEN,
    AMONG_NEAR,
    EVERY,
    GIVEN,
    NEAREST_GIVEN,
    NONE,
    RARITY,
    find,
    graph,
)
from holdfast.knowledge.bm25 import rarity
from holdfast.knowledge.fusion import Candidate, SignalName, nearness


async def weigh(connection: Connection, query: Query) -> None:
    """How much each word of the query tells here, how large the library is, and whose vectors answer."""
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


def signals_of(query: Query) -> list[SignalName]:
    asked = query.request.signals
    wanted: list[SignalName] = ["dense", "lexical"] if asked == "hybrid" else [asked]
    return [name for name in wanted if name == "lexical" or query.vector is not None]


async def candidates(connection: Connection, query: Query) -> list[Candidate]:
    """The best by words and the nearest, each measured by both signals, whichever brought it up."""
    if not signals_of(query):
        return []
    cursor = await connection.execute(*await _finding(connection, query))
    terms = query.terms()
    return [_candidate(row, terms) for row in await cursor.fetchall()]


async def _finding(connection: Connection, query: Query) -> tuple[str, dict[str, Any]]:
    """All that pass are measured while they are few; above, those the graph brings up."""
    if query.vectors <= EXACT:
        if query.vector is None and not query.where:
            return find(NONE), query.parameters()
        return find(EVERY, AMONG_NEAR if query.where else ""), query.parameters()
    within = await _matching(connection, query) if query.where else None
    near = _near(query, within)
    if within is not None:
        return find(near, AMONG_GIVEN), query.parameters(keys=within)
    return find(near, "" if query.finds_by_words else AMONG_NEAR), query.parameters()


def _near(query: Query, within: list[int] | None) -> str:
    if query.vector is None:
        return NONE
    if within is None or len(within) > OWN_DOCUMENTS:
        return graph(query.dimensions, among=within is not None)
    return GIVEN if len(within) <= EXACT_DOCUMENTS else NEAREST_GIVEN


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


async def own_vectors(
    connection: Connection, query: Query, ranked: Sequence[Candidate]
) -> dict[int, list[float]]:
    cursor = await connection.execute(
        """select document, embedding::real[] as embedding from knowledge_vectors
           where document = any(%s) and model = %s and position = -1""",
        ([candidate.key for candidate in ranked], query.model),
    )
    return {row["document"]: row["embedding"] for row in await cursor.fetchall()}
