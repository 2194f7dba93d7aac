"""What a search gives back: the hits with their passages and why they were found, and how sure it is of them."""

from collections.abc import Iterable, Sequence
from typing import Any

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.knowledge_query import Query
from holdfast.adapters.postgres.knowledge_rows import document_of
from holdfast.adapters.postgres.knowledge_statements import HITS
from holdfast.knowledge.confidence import NEAR_ALONE, SURE, confidence, share_of_words
from holdfast.knowledge.fusion import Candidate
from holdfast.knowledge.kin import is_kind, met_otherwise
from holdfast.knowledge.snippets import best_chunk, snippet_of
from schemas.knowledge import Chunk, SearchHit, SearchResult

_WORDS_ONLY = (
    "No embedding model is at hand: words alone were searched. `holdfast doctor` says how to add one."
)


async def hits_of(connection: Connection, query: Query, ranked: Sequence[Candidate]) -> list[SearchHit]:
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
        words=_rarest(query, (term for term in candidate.words if not is_kind(term))),
        why=_why(query, candidate),
    )


def _rarest(query: Query, words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(words, key=lambda term: -query.rarities.get(term, 0.0)))


def _why(query: Query, candidate: Candidate) -> str:
    words = _rarest(query, (term for term in candidate.words if not is_kind(term)))[:5]
    parts = [f"shares the words {', '.join(words)}"] if words else []
    if others := met_otherwise(candidate.words)[:3]:
        parts.append(f"has other words for {', '.join(others)}")
    if query.vector is not None:
        parts.append(f"{_closeness(candidate.dense or 0)} (cosine {candidate.dense or 0:.2f})")
    return " and ".join(parts) or "nothing in it speaks for it"


def _closeness(cosine: float) -> str:
    if cosine >= NEAR_ALONE:
        return "means nearly the same"
    return "is near in meaning" if cosine >= NEAR_ALONE / 2 else "is far in meaning"


def result_of(query: Query, ranked: Sequence[Candidate], hits: list[SearchHit]) -> SearchResult:
    # Whether a model is at hand cannot be told from a library in which nothing stands.
    words_only = query.vector is None and query.request.signals != "lexical" and query.vectors > 0
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
