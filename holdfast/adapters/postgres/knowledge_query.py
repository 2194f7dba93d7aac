"""A search as it is asked of Postgres: its parameters, and the statements it is made of.

Laterals and arrays instead of joins: good plans also while the tables have no statistics yet.
"""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.knowledge_rows import COLUMNS, where_json
from holdfast.knowledge.bm25 import K1, B, weight
from holdfast.knowledge.fusion import CANDIDATES, OWN, PASSAGE, SAID, SAYING
from schemas.knowledge import SearchRequest

EXACT_DOCUMENTS = 1_500
TERMS, FEWEST = 32, 2
POSTINGS = 6_000
"""So many postings a search can afford."""
COMMON = 3_000
"""A word in so many documents brings up none by itself."""
COUNTED = 500
"""A word is counted so far; beyond, the count that is kept of common words has to do."""

RARITY = """
select t.documents, t.chunks, t.length / greatest(t.documents, 1) as length, q.term, (
  select m.model from knowledge_models m where m.tenant = %(tenant)s and m.state = 'active'
) as model, case when c.few < %(counted)s then c.few else coalesce((
  select w.documents from knowledge_common w where w.tenant = %(tenant)s and w.term = q.term
), c.few) end as containing
from unnest(%(terms)s::text[]) as q (term)
cross join lateral (
  select count(*) as few from (
    select from knowledge_postings p where p.tenant = %(tenant)s and p.term = q.term limit %(counted)s
  ) counted
) c, knowledge_totals t where t.tenant = %(tenant)s
"""

_LEXICAL = f"""
select p.document, sum(q.weight * p.frequency * {K1 + 1}
                       / (p.frequency + {K1} * ({1 - B} + {B} * p.length / %(average)s))) as score,
       bit_or(1::bigint << q.at::int) as terms
from unnest(%(terms)s::text[], %(weights)s::real[]) with ordinality as q (term, weight, at)
cross join lateral (
  select p.document, p.frequency, p.length from knowledge_postings p
  where p.tenant = %(tenant)s and p.term = q.term {{among}} offset 0
) p
group by p.document
"""
_NOT_YET = """and p.document = any((
    select array_agg(n.document) from nearest n where not exists (select from words w where w.document = n.document)
  )::bigint[])"""
_NEARNESS = (
    f"greatest({OWN} * own + {PASSAGE} * coalesce(passage, own) + {SAYING} * coalesce(saying, own), saying - {SAID})"
)

_FIND = f"""
with near as materialized (
  select coalesce({{near}}, '{{{{}}}}'::bigint[]) as keys
), words as materialized (
  {_LEXICAL} order by score desc, p.document limit %(limit)s
), measured as materialized (
  select document, max(cosine) filter (where position = -1) as own,
         max(cosine) filter (where position >= 0) as passage,
         max(cosine) filter (where position < -1) as saying,
         (array_agg(position order by cosine desc) filter (where position >= 0))[1] as chunk
  from (
    select v.document, v.position, -(v.embedding <#> %(vector)s::halfvec) as cosine
    from knowledge_vectors v
    where v.model = %(model)s and v.document = any((
      select keys || coalesce((select array_agg(document) from words), '{{{{}}}}'::bigint[]) from near
    )::bigint[])
  ) each group by document
), nearest as materialized (
  select document from measured where document = any((select keys from near)::bigint[])
  order by {_NEARNESS} desc, document limit %(limit)s
), rest as materialized (
  {_LEXICAL.replace("{among}", _NOT_YET)}
)
select c.document, coalesce(l.score, 0) as score, coalesce(l.terms, 0) as terms, m.own, m.passage, m.saying, m.chunk
from (select document from words union select document from nearest) c
left join (select * from words union all select * from rest) l on l.document = c.document
left join measured m on m.document = c.document
"""
_ALL = "(select array_agg(key) from knowledge_matching(%(where)s))"
_THESE = "and p.document = any(%(keys)s)"
_MATCHING = "and p.document = any((select keys from near)::bigint[])"

FIND_BY_WORDS = _FIND.format(near="null::bigint[]", among="")
FIND_EXACTLY = _FIND.format(near=_ALL, among="")
FIND_EXACTLY_AMONG = _FIND.format(near=_ALL, among=_MATCHING)
FIND_NEAR = _FIND.format(near="%(near)s::bigint[]", among="")
FIND_NEAR_AMONG = _FIND.format(near="%(near)s::bigint[]", among=_THESE)

# Sorting would be exact and slow; it must not look cheap to a planner without statistics.
GRAPH_SETTINGS = """select set_config('hnsw.iterative_scan', 'relaxed_order', true),
  set_config('hnsw.ef_search', '100', true), set_config('enable_sort', 'off', true)"""
_GRAPH = """
with found as materialized (
  select v.document from knowledge_vectors v
  where v.model = %(model)s and v.position >= -1 {among}
  order by v.embedding::halfvec({dimensions}) <#> %(vector)s::halfvec({dimensions}) limit %(limit)s
)
select coalesce(array_agg(distinct document), '{{}}') as keys, set_config('enable_sort', 'on', true) from found
"""
_GRAPH_THESE = "and v.document = any(%(keys)s)"

HITS = f"""
select d.key, {COLUMNS}, (
  select coalesce(jsonb_agg(jsonb_build_object(
    'position', c.position, 'path', c.path, 'start', lower(c.span), 'end', upper(c.span), 'text', c.text,
    'code', c.code, 'digest', c.digest) order by c.position), '[]')
  from knowledge_chunks c where c.document = k.key and (k.near is null or c.position = k.near)
) as passages
from unnest(%(keys)s::bigint[], %(near)s::int[]) as k (key, near) join knowledge_documents d on d.key = k.key
"""


def graph(dimensions: int, *, among: bool) -> str:
    """The documents that the graph of a model brings up. Dimensions are a part of its index's type."""
    return _GRAPH.format(dimensions=int(dimensions), among=_GRAPH_THESE if among else "")


def words_of(terms: Sequence[str], bits: int) -> tuple[str, ...]:
    """The terms of a row, which are bits there: an array for each of thousands of rows would cost more than all else."""
    return tuple(term for at, term in enumerate(terms, 1) if bits >> at & 1)


@dataclass
class Query:
    """A search as it is asked of Postgres."""

    tenant: str
    request: SearchRequest
    times: Mapping[str, int] = field(default_factory=dict)
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
