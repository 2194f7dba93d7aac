"""Which items might be worth knowing, as SQL: few candidates by each road, and only these are read in full."""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.memory_rows import COLUMNS
from holdfast.knowledge.bm25 import rarity
from holdfast.knowledge.terms import terms_of
from schemas.memory import Cues

_CANDIDATES = 60
_LESSONS_MEASURED = 200
_TERMS = 64
_COUNTED = 1_000
"""A word in so many items says nothing, and is counted no further."""

_PLAINLY = """
  i.tenant = %(tenant)s and i.status = 'active'
  and i.agent in ('', %(agent)s) and i.environment in ('', %(environment)s) and i.thread in ('', %(thread)s)
"""
_RECALLED = f"""{_PLAINLY}
  and coalesce(i.content->'scope'->'labels', '{{}}') <@ %(labels)s
  and coalesce((i.content->>'valid_from')::timestamptz, '-infinity') <= clock_timestamp()
  and coalesce((i.content->>'valid_to')::timestamptz, 'infinity') > clock_timestamp()
  and coalesce((i.content->>'expires_at')::timestamptz, 'infinity') > clock_timestamp()
"""

_OF_PROGRAM = """case when jsonb_typeof(i.content->'data'->'programs') = 'array'
  and i.content->'data'->'programs' <> '[]' then jsonb_exists_any(i.content->'data'->'programs', %(programs)s) else true end"""

_CANDIDATE_ITEMS = f"""
with by_signature as materialized (
  select i.id from memory_items i
  where {_RECALLED} and (
    i.goal_kind = %(kind)s and i.goal_kind <> '' or i.alert = %(alert)s and i.alert <> ''
    or i.runbook = any(%(runbooks)s) or i.tool = any(%(tools)s) and {_OF_PROGRAM})
  order by i.confirmed_at desc limit {_CANDIDATES}
), by_meaning as materialized (
  -- Labels and times cost more to look at than all else: from the nearest on, until there are enough.
  select near.item as id from (
    select v.item, v.embedding <#> %(vector)s::vector as distance
    from memory_vectors v join memory_items i on i.id = v.item
    where v.tenant = %(tenant)s and v.model = %(model)s and {_PLAINLY}
    order by distance offset 0
  ) near, lateral (select from memory_items i where i.id = near.item and {_RECALLED} offset 0) valid
  order by near.distance limit {_CANDIDATES}
), by_words as materialized (
  select i.id from memory_items i
  where {_RECALLED} and i.terms && %(terms)s::text[]
    and not exists (select from memory_vectors v where v.item = i.id and v.model = %(model)s)
  order by cardinality(array(select unnest(i.terms) intersect select unnest(%(terms)s::text[]))) desc, i.id desc
  limit {_CANDIDATES}
)
select {COLUMNS}, i.terms, -(v.embedding <#> %(vector)s::vector) as cosine
from (select id from by_signature union select id from by_meaning union select id from by_words) c
join memory_items i on i.id = c.id
left join memory_vectors v on v.item = i.id and v.model = %(model)s
"""


_LESSONS = f"""
select {COLUMNS}, i.terms, -(v.embedding <#> %(vector)s::vector) as cosine
from (
  select i.id from memory_items i
  where {_RECALLED} and i.kind = 'lesson' and i.tool = any(%(tools)s) and {_OF_PROGRAM}
  order by cardinality(array(select unnest(i.terms) intersect select unnest(%(terms)s::text[]))) desc,
    i.confirmed_at desc limit {_LESSONS_MEASURED}
) c
join memory_items i on i.id = c.id
left join memory_vectors v on v.item = i.id and v.model = %(model)s
"""
"""Of the lessons on these tools and programs, those that share most words with the goal."""


async def candidates(
    connection: Connection,
    tenant: str,
    cues: Cues,
    *,
    kind: str,
    terms: list[str],
    model: str,
    vector: str | None,
    lessons: bool = False,
) -> list[dict[str, Any]]:
    """Of all items, or of the `lessons` on the tools of the cues."""
    cursor = await connection.execute(
        _LESSONS if lessons else _CANDIDATE_ITEMS,
        {
            "tenant": tenant,
            "vector": vector,
            "model": model,
            "agent": cues.agent,
            "environment": cues.environment,
            "thread": cues.thread,
            "labels": Jsonb(cues.labels),
            "kind": kind,
            "alert": cues.alert,
            "runbooks": list(cues.runbooks),
            "tools": list(cues.tools),
            "programs": list(cues.programs),
            "terms": terms,
        },
    )
    return await cursor.fetchall()


async def any_lesson(connection: Connection, tools: Sequence[str]) -> bool:
    cursor = await connection.execute(
        """select exists (
             select from memory_items where kind = 'lesson' and status = 'active' and tool = any(%s)) as any""",
        (list(tools),),
    )
    row = await cursor.fetchone()
    return bool(row and row["any"])


async def rarities_of(connection: Connection, text: str) -> Mapping[str, float]:
    """How much each word of the cues tells, in this memory."""
    cursor = await connection.execute(
        """select q.term, (select count(*) from memory_items where status = 'active') as items, (
             select count(*) from (
               select from memory_items i where i.status = 'active' and i.terms @> array[q.term] limit %s) counted
           ) as containing
           from unnest(%s::text[]) q (term)""",
        (_COUNTED, sorted(set(terms_of(text)))[:_TERMS]),
    )
    return {row["term"]: rarity(row["items"], row["containing"]) for row in await cursor.fetchall()}
