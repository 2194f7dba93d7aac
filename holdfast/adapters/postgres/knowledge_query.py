"""A search as it is asked of Postgres: its parameters, and the four statements it is made of.

Laterals and arrays instead of joins: good plans also while the tables have no statistics yet.
"""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.knowledge_rows import where_json
from holdfast.knowledge.bm25 import K1, B, weight
from holdfast.knowledge.fusion import CANDIDATES, OWN, PASSAGE, SAYING
from schemas.knowledge import SearchRequest

EXACT_DOCUMENTS = 1_500
TERMS, FEWEST = 32, 2
POSTINGS = 8_000
COMMON = 4_000
"""A word in so many documents is not counted further; it is searched for only where there is hardly another."""

RARITY = """
select t.documents, t.chunks, t.length / greatest(t.documents, 1) as length, q.term, (
  select m.model from knowledge_models m where m.tenant = %(tenant)s and m.state = 'active'
) as model, (
  select count(*) from (
    select from knowledge_postings p where p.tenant = %(tenant)s and p.term = q.term limit %(cap)s
  ) few
) as containing
from unnest(%(terms)s::text[]) as q (term), knowledge_totals t where t.tenant = %(tenant)s
"""

LEXICAL = f"""
select p.document, sum(q.weight * p.frequency * {K1 + 1}
                       / (p.frequency + {K1} * ({1 - B} + {B} * p.length / %(average)s))) as score,
       array_agg(q.term) as terms
from unnest(%(terms)s::text[], %(weights)s::real[]) as q (term, weight)
cross join lateral (
  select p.document, p.frequency, p.length from knowledge_postings p
  where p.tenant = %(tenant)s and p.term = q.term {{among}} offset 0
) p
group by p.document order by score desc, p.document limit %(limit)s
"""
DENSE = f"""
with near as materialized (
  select v.document, v.position, -(v.embedding <#> %(vector)s::vector) as cosine
  from knowledge_vectors v where v.document = any(%(keys)s) and v.model = %(model)s
), best as (
  select document, max(cosine) filter (where position = -1) as own,
         max(cosine) filter (where position >= 0) as passage,
         max(cosine) filter (where position < -1) as saying,
         (array_agg(position order by cosine desc) filter (where position >= 0))[1] as chunk
  from near group by document
)
select * from best
order by {OWN} * own + {PASSAGE} * coalesce(passage, own) + {SAYING} * coalesce(saying, own) desc, document
limit %(limit)s
"""
GRAPH = """
select v.document from knowledge_vectors v
where v.model = %(model)s and v.position >= -1 {among}
order by v.embedding::vector({dimensions}) <#> %(vector)s::vector({dimensions}) limit %(limit)s
"""
LEXICAL_THESE = "and p.document = any(%(keys)s)"
GRAPH_THESE = "and v.document = any(%(keys)s)"


@dataclass
class Query:
    """A search as it is asked of Postgres."""

    tenant: str
    request: SearchRequest
    model: str | None = None
    vector: str | None = None
    dimensions: int = 0
    times: Mapping[str, int] = field(default_factory=dict)
    rarities: dict[str, float] = field(default_factory=dict)
    containing: dict[str, int] = field(default_factory=dict)
    average: float = 1.0
    vectors: int = 0
    in_force: str = ""

    @property
    def where(self) -> dict[str, Any]:
        return where_json(self.request.where)

    def terms(self) -> list[str]:
        """The rarest words, as many as a search can afford: common ones cost most and tell least."""
        chosen: list[str] = []
        cost = 0
        for term in sorted(self.rarities, key=lambda each: (-self.rarities[each], each))[:TERMS]:
            cost += self.containing[term]
            if len(chosen) >= FEWEST and (cost > POSTINGS or self.containing[term] >= COMMON):
                break
            chosen.append(term)
        return chosen

    def weight(self, term: str) -> float:
        return weight(self.rarities[term], self.times[term])

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
            **more,
        }
