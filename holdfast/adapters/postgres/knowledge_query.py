"""A search as it is asked of Postgres: which of its words it can afford, and its parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.knowledge_rows import where_json
from holdfast.knowledge.bm25 import weight
from holdfast.knowledge.fusion import CANDIDATES
from holdfast.knowledge.kin import is_kind
from schemas.knowledge import SearchRequest

EXACT_DOCUMENTS, OWN_DOCUMENTS = 1_500, 10_000
"""So many that pass a filter are all measured; so many are chosen from by their own vectors. The graph would have to pass by
too many others to find them.
"""
TERMS, FEWEST = 56, 2
POSTINGS = 6_000
"""So many postings a search can afford."""
COMMON = 3_000
"""A word in so many documents brings up none by itself."""
COUNTED = 500
"""A word is counted so far; beyond, the count that is kept of common words has to do."""


def words_of(terms: Sequence[str], bits: int) -> tuple[str, ...]:
    """The terms of a row, which are bits there: an array for each of thousands of rows would cost more than all else."""
    return tuple(term for at, term in enumerate(terms, 1) if bits >> at & 1)


@dataclass
class Query:
    """A search as it is asked of Postgres."""

    tenant: str
    request: SearchRequest
    times: Mapping[str, float] = field(default_factory=dict)
    model: str | None = None
    vector: str | None = None
    dimensions: int = 0
    rarities: dict[str, float] = field(default_factory=dict)
    containing: dict[str, int] = field(default_factory=dict)
    average: float = 1.0
    vectors: int = 0
    in_force: str = ""
    note: str = ""

    @property
    def where(self) -> dict[str, Any]:
        return where_json(self.request.where)

    def terms(self) -> list[str]:
        """The words that count: the rarest, as many as a search can afford; all, where they only measure what the
        vectors bring up; and a few common ones, where there is nothing else to go by.
        """
        if self.request.signals == "dense":
            return []
        ranked = sorted(self.rarities, key=lambda each: (-self.rarities[each], each))[:TERMS]
        affordable = self._affordable(ranked)
        return affordable or (ranked[:FEWEST] if self.vector is None else ranked)

    @property
    def finds_by_words(self) -> bool:
        """Whether words bring up documents of their own. Common ones cost most and tell least: they only measure."""
        return self.vector is None or bool(self._affordable(self.terms()))

    def _affordable(self, ranked: Sequence[str]) -> list[str]:
        chosen: list[str] = []
        cost = 0
        for term in ranked:
            cost += self.containing[term]
            if cost > POSTINGS or self.containing[term] >= COMMON:
                break
            chosen.append(term)
        return chosen

    def weight(self, term: str) -> float:
        return weight(self.rarities[term], self.times[term], kind=is_kind(term))

    def parameters(self, **more: Any) -> dict[str, Any]:
        terms = self.terms()
        return {
            "tenant": self.tenant,
            "terms": terms,
            "weights": [self.weight(term) for term in terms],
            "average": self.average or 1.0,
            "where": Jsonb(self.where),
            "model": self.model,
            "vector": self.vector,
            "limit": CANDIDATES,
            "most": 2 * CANDIDATES,
            **more,
        }
