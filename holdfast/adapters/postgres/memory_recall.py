"""Which items might be worth knowing, as SQL: few candidates by each road, and only these are read in full.

Laterals from the best on, until there are enough that hold here: labels and times cost more to look at than all else.
"""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.memory_rows import COLUMNS
from holdfast.knowledge.bm25 import rarity
from holdfast.knowledge.terms import terms_of
from schemas.memory import Cues

EXACT = 5_000
"""Up to so many items of a tenant, all are measured; above, those a graph brings up."""
_CANDIDATES, _OF_KIND = 60, 40
_LESSONS_MEASURED, _LESSONS_LATEST = 200, 500
_TERMS = 64
_COUNTED = 1_000
"""A word in so many items says nothing, is counted no further, and brings up none by itself."""
_POSTINGS = 6_000
"""So many postings a recall can afford."""
_WIDEST = 4_000
"""A graph takes vectors of so many dimensions."""
_AROUND = 100
"""So far the graph looks around."""

_VALID = """
  i.tenant = %(tenant)s and i.status = 'active'
  and i.agent in ('', %(agent)s) and i.environment in ('', %(environment)s) and i.thread in ('', %(thread)s)
  and coalesce(i.content->'scope'->'labels', '{}') <@ %(labels)s
  and coalesce((i.content->>'valid_from')::timestamptz, '-infinity') <= clock_timestamp()
  and coalesce((i.content->>'valid_to')::timestamptz, 'infinity') > clock_timestamp()
  and coalesce((i.content->>'expires_at')::timestamptz, 'infinity') > clock_timestamp()
"""

_BY_WORDS = """(
  select p.item, sum(q.weight) as weight
  from unnest(%(terms)s::text[], %(weights)s::real[]) q (term, weight)
  cross join lateral (
    select p.item from memory_postings p where p.tenant = %(tenant)s and p.term = q.term offset 0
  ) p
  group by p.item order by weight desc, p.item desc offset 0
)"""
_BY_PROGRAM = f"""
  select i.id, i.confirmed_at from unnest(%(programs)s::text[]) asked (program)
  cross join lateral (
    select i.id, i.confirmed_at from (
      select p.item from memory_postings p where p.tenant = %(tenant)s and p.term = 'runs ' || asked.program
      order by p.item desc limit {_LESSONS_LATEST}
    ) p, lateral (
      select i.id, i.confirmed_at from memory_items i
      where i.id = p.item and i.kind = about.kind and i.tool = any(%(tools)s) and {_VALID} offset 0
    ) i offset 0
  ) i
"""


def _latest(column: str, asked: str, limit: int, more: str = "") -> str:
    """The items that name one of what is asked for, the last confirmed first."""
    return f"""
  select i.id, i.confirmed_at from unnest({asked}) asked (name)
  cross join lateral (
    select i.id, i.confirmed_at from memory_items i
    where {_VALID} and i.kind = about.kind and i.{column} = asked.name and i.{column} <> '' {more}
    order by i.confirmed_at desc limit {limit}
  ) i
"""


_SIGNATURE = " union all ".join((
    _latest("goal_kind", "array[%(kind)s]", _OF_KIND),
    _latest("alert", "array[%(alert)s]", _OF_KIND),
    _latest("runbook", "%(runbooks)s::text[]", _OF_KIND),
    _latest("tool", "%(tools)s::text[]", _OF_KIND, "and i.programs = '{}'"),
    _BY_PROGRAM,
))  # fmt: skip
_EXACTLY = "v.embedding <#> %(vector)s::halfvec"
_GRAPH = "v.embedding::halfvec({dimensions}) <#> %(vector)s::halfvec({dimensions})"

_CANDIDATE_ITEMS = f"""
with by_signature as materialized (
  select found.id from unnest(array['lesson', 'fact', 'episode']) about (kind)
  cross join lateral (
    select id from ({_SIGNATURE}) met group by id order by max(confirmed_at) desc limit {_OF_KIND}
  ) found
), by_meaning as materialized (
  select near.item as id from (
    select v.item from memory_vectors v where v.tenant = %(tenant)s and v.model = %(model)s
    order by {{distance}} offset 0
  ) near, lateral (select from memory_items i where i.id = near.item and {_VALID} offset 0) valid
  limit {_CANDIDATES}
), by_words as materialized (
  select word.item as id from {_BY_WORDS} word,
    lateral (select from memory_items i where i.id = word.item and {_VALID} offset 0) valid
  limit {_CANDIDATES}
)
select {COLUMNS}, i.terms, -({_EXACTLY}) as cosine
from (select id from by_signature union select id from by_meaning union select id from by_words) c
join memory_items i on i.id = c.id
left join memory_vectors v on v.item = i.id and v.model = %(model)s
-- What is neither near, whatever its words, nor about any of this is recalled by nobody, and need not be read.
where v.item is null or -({_EXACTLY}) >= %(least)s or i.goal_kind = %(kind)s or i.alert <> '' and i.alert = %(alert)s
  or i.runbook = any(%(runbooks)s) or i.tool = any(%(tools)s)
"""

_LESSONS = f"""
with about as (
  select 'lesson' as kind
), worded as materialized (
  select word.item as id from {_BY_WORDS} word, lateral (
    select from memory_items i where i.id = word.item and i.kind = 'lesson' and i.tool = any(%(tools)s)
      and (i.programs = '{{}}' or i.programs && %(programs)s::text[]) and {_VALID} offset 0
  ) valid limit {_LESSONS_MEASURED}
), latest as materialized (
  select id from about cross join lateral (
    {_latest("tool", "%(tools)s::text[]", _LESSONS_LATEST, "and i.programs = '{}'")} union all {_BY_PROGRAM}
  ) met
), met as (
  select i.id from (select id from worded union select id from latest) c join memory_items i on i.id = c.id
  order by cardinality(array(select unnest(i.terms) intersect select unnest(%(terms)s::text[]))) desc,
    i.confirmed_at desc limit {_LESSONS_MEASURED}
)
select {COLUMNS}, i.terms, -({_EXACTLY}) as cosine
from met join memory_items i on i.id = met.id
left join memory_vectors v on v.item = i.id and v.model = %(model)s
"""
"""Of the lessons on these tools and programs, the latest and those alike in words; of both, those that share most words."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of the cues: how much each tells here, and which of them can bring up items of their own."""

    rarities: Mapping[str, float]
    telling: Sequence[str]
    items: int
    """How many there are, counted no further than it takes to know that there are many."""


async def candidates(
    connection: Connection,
    tenant: str,
    cues: Cues,
    *,
    kind: str,
    words: Words,
    model: str,
    vector: str | None,
    lessons: bool = False,
    least: float = -1.0,
    exact: int = EXACT,
) -> list[dict[str, Any]]:
    """Of all items, or of the `lessons` on the tools of the cues. What likeness alone brings up has a cosine of `least`."""
    distance = _EXACTLY
    if vector is not None and words.items > exact and vector.count(",") < _WIDEST:
        distance = _GRAPH.format(dimensions=vector.count(",") + 1)
    cursor = await connection.execute(
        _LESSONS if lessons else _CANDIDATE_ITEMS.replace("{distance}", distance),
        {
            "tenant": tenant,
            "vector": vector,
            "model": model,
            "agent": cues.agent,
            "environment": cues.environment,
            "thread": cues.thread,
            "labels": Jsonb(cues.labels),
            "kind": kind,
            "least": least,
            "alert": cues.alert,
            "runbooks": list(cues.runbooks),
            "tools": list(cues.tools),
            "programs": list(cues.programs),
            "terms": list(words.telling),
            "weights": [words.rarities[term] for term in words.telling],
        },
    )
    return await cursor.fetchall()


async def keep_graph(connection: Connection, tenant: str, model: str) -> None:
    """A graph over the vectors of a model, from a tenant on that is too large to be searched exactly. Cheap where it is there."""
    cursor = await connection.execute(
        """select count(*) as vectors, max(vector_dims(embedding)) as dimensions from (
             select embedding from memory_vectors where tenant = %s and model = %s limit %s) each""",
        (tenant, model, EXACT + 1),
    )
    row = await cursor.fetchone()
    if row and row["vectors"] > EXACT and row["dimensions"] <= _WIDEST:
        await connection.execute("select index_memory_vectors(%s, %s)", (model, row["dimensions"]))


async def any_lesson(connection: Connection, tools: Sequence[str]) -> bool:
    cursor = await connection.execute(
        """select exists (
             select from memory_items where kind = 'lesson' and status = 'active' and tool = any(%s)) as any""",
        (list(tools),),
    )
    row = await cursor.fetchone()
    return bool(row and row["any"])


async def words_of(connection: Connection, tenant: str, text: str, *, exact: int = EXACT) -> Words:
    """How much each word of the cues tells, in this memory; and Postgres told to use a graph where there are many, and how.

    It would else sort all that there are: it cannot know that few of them are asked for.
    """
    cursor = await connection.execute(
        """select set_config('hnsw.iterative_scan', 'strict_order', true),
             set_config('hnsw.ef_search', %(around)s, true),
             set_config('enable_sort', case when counted.items > %(exact)s then 'off' else 'on' end, true),
             counted.items, q.term, c.containing
           from (
             select count(*) as items from (
               select from memory_items where tenant = %(tenant)s and status = 'active' limit %(most)s
             ) each
           ) counted
           left join (select unnest(%(terms)s::text[]) as term) q on true
           cross join lateral (
             select count(*) as containing from (
               select from memory_postings p where p.tenant = %(tenant)s and p.term = q.term limit %(counted)s
             ) each
           ) c""",
        {
            "tenant": tenant,
            "terms": sorted(set(terms_of(text)))[:_TERMS],
            "around": str(_AROUND),
            "exact": exact,
            "counted": _COUNTED,
            "most": max(exact, _COUNTED) + 1,
        },
    )
    rows = await cursor.fetchall()
    counts = {row["term"]: row["containing"] for row in rows if row["term"] is not None}
    items = rows[0]["items"]
    return Words({term: rarity(items, count) for term, count in counts.items()}, _telling(counts), items)


def _telling(counts: Mapping[str, int]) -> list[str]:
    """The rarest words, as many as can be afforded."""
    chosen: list[str] = []
    cost = 0
    for term in sorted(counts, key=lambda each: (counts[each], each)):
        cost += counts[term]
        if cost > _POSTINGS or counts[term] >= _COUNTED:
            break
        if counts[term]:
            chosen.append(term)
    return chosen
