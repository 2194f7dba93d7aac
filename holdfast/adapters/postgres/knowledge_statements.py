"""The statements a search is made of.

Laterals and arrays instead of joins: good plans also while the tables have no statistics yet.
"""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from holdfast.adapters.postgres.knowledge_rows import COLUMNS
from holdfast.knowledge.bm25 import K1, B
from holdfast.knowledge.fusion import OWN, PASSAGE, SAID, SAYING

LEAST, MOST = 100, 400
"""So far the graph looks around: the larger it is, the farther, or it misses more."""

GROWTH = 1.2
"""Common words are counted anew when a library has grown by so much; of one that has shrunk by so much, the counts are not
asked.
"""

RARITY = f"""
select (
  select concat(set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('enable_sort', 'off', true),
                set_config('hnsw.ef_search', least({MOST}, greatest({LEAST}, sqrt(chunks / 10)))::int::text, true))
  from knowledge_totals where tenant = %(tenant)s
) as graph_settings, t.documents, t.chunks, t.length / greatest(t.documents, 1) as length, q.term, (
  select m.model from knowledge_models m where m.tenant = %(tenant)s and m.state = 'active'
) as model, coalesce(w.documents, c.few) as containing
from knowledge_totals t cross join unnest(%(terms)s::text[]) as q (term)
left join lateral (
  select w.documents from knowledge_common w
  where w.tenant = %(tenant)s and w.term = q.term and t.weighed <= t.documents * {GROWTH} limit 1
) w on true
cross join lateral (
  select count(*) as few from (
    select from knowledge_postings p
    where p.tenant = %(tenant)s and p.term = q.term and w.documents is null limit %(counted)s
  ) counted
) c
where t.tenant = %(tenant)s
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
_NEARNESS = f"greatest({OWN} * own + {PASSAGE} * coalesce(passage, own) + {SAYING} * coalesce(saying, own), saying - {SAID})"

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
    where v.tenant = %(tenant)s and v.model = %(model)s and v.document = any((
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
EVERY = "(select array_agg(key) from knowledge_matching(%(where)s))"
"""The keys of all that pass the filter."""
GIVEN = "%(keys)s::bigint[]"
NEAREST_GIVEN = """(
  select array_agg(document) from (
    select v.document from knowledge_vectors v
    where v.document = any(%(keys)s) and v.model = %(model)s and v.position = -1
    order by v.embedding <#> %(vector)s::halfvec limit %(most)s
  ) own
)"""
"""Of these keys, those of the documents whose own vector is nearest. The graph, which knows other types, is not asked."""
NONE = "null::bigint[]"
AMONG_NEAR = "and p.document = any((select keys from near)::bigint[])"
AMONG_GIVEN = "and p.document = any(%(keys)s)"


def find(near: str, among: str = "") -> str:
    """Finds and measures: the documents whose keys `near` gives, and those that words bring up `among` what."""
    return _FIND.format(near=near, among=among)


def graph(dimensions: int, *, among: bool) -> str:
    """The keys of what the graph of a model brings up. Dimensions are a part of its index's type."""
    return _GRAPH.format(dimensions=int(dimensions), among="and v.document = any(%(keys)s)" if among else "")


_GRAPH = """(
  select array_agg(distinct document) from (
    select v.document from knowledge_vectors v
    where v.tenant = %(tenant)s and v.model = %(model)s and v.position >= -1 {among}
    order by v.embedding::halfvec({dimensions}) <#> %(vector)s::halfvec({dimensions}) limit %(most)s
  ) found
)"""

HITS = f"""
select d.key, {COLUMNS}, (
  select coalesce(jsonb_agg(jsonb_build_object(
    'position', c.position, 'path', c.path, 'start', lower(c.span), 'end', upper(c.span), 'text', c.text,
    'code', c.code, 'digest', c.digest) order by c.position), '[]')
  from knowledge_chunks c where c.document = k.key and (k.near is null or c.position = k.near)
) as passages
from unnest(%(keys)s::bigint[], %(near)s::int[]) as k (key, near) join knowledge_documents d on d.key = k.key
"""
