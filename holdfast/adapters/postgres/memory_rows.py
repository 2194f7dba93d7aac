"""Rows of memory as models, and the one statement that writes an item with its version."""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.knowledge_vectors import to_text
from holdfast.errors import NotFound
from holdfast.knowledge.ports import Vectors
from holdfast.knowledge.terms import terms_of
from holdfast.memory.commands import programs_taught
from holdfast.memory.contradiction import identity
from schemas.memory import MemoryContent, MemoryItem, MemoryKind, MemoryStatus, Provenance

COLUMNS = """i.id, i.version, i.digest, i.content, i.provenance, i.used, i.helped, i.hurt, i.created_at,
  i.changed_at, i.confirmed_at, i.last_used_at"""

_WRITE = """
with item as (
  insert into memory_items as i (tenant, id, version, digest, status, kind, content, provenance, terms, programs, subject,
                                 goal_kind, runbook, alert, tool, error, agent, environment, thread, run_id)
  values (%(tenant)s, %(id)s, 1, %(digest)s, %(status)s, %(kind)s, %(content)s, %(provenance)s, %(terms)s,
          %(programs)s, %(subject)s, %(goal_kind)s, %(runbook)s, %(alert)s, %(tool)s, %(error)s, %(agent)s, %(environment)s, %(thread)s,
          %(run_id)s)
  on conflict (id) do update set
    version = i.version + 1, digest = excluded.digest, status = excluded.status, kind = excluded.kind,
    content = excluded.content, terms = excluded.terms, programs = excluded.programs, subject = excluded.subject, goal_kind = excluded.goal_kind, runbook = excluded.runbook,
    alert = excluded.alert, tool = excluded.tool, error = excluded.error, agent = excluded.agent,
    environment = excluded.environment, thread = excluded.thread, changed_at = clock_timestamp(),
    confirmed_at = case when %(confirms)s then clock_timestamp() else i.confirmed_at end
  returning i.*
), version as (
  insert into memory_versions (tenant, item, version, content, author, reason)
  select tenant, id, version, content, %(author)s, %(reason)s from item
)
select id, version, digest, content, provenance, used, helped, hurt, created_at, changed_at, confirmed_at,
       last_used_at from item
"""


async def write_item(
    connection: Connection,
    tenant: str,
    item_id: str,
    content: MemoryContent,
    provenance: Provenance,
    *,
    author: str,
    reason: str,
    confirms: bool = False,
) -> MemoryItem:
    """The item as it shall stand, and a version that says so."""
    values = _values(tenant, item_id, content, provenance)
    cursor = await connection.execute(
        _WRITE, values | {"author": author, "reason": reason, "confirms": confirms}
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no memory {item_id}.", id=item_id)
    return item_of(row)


def _values(tenant: str, item_id: str, content: MemoryContent, provenance: Provenance) -> dict[str, Any]:
    about, scope = content.signature, content.scope
    return {
        "tenant": tenant,
        "id": item_id,
        "digest": identity(content),
        "status": content.status,
        "kind": content.kind,
        "content": Jsonb(content.model_dump(mode="json")),
        "provenance": Jsonb(provenance.model_dump(mode="json")),
        "terms": sorted(set(terms_of(situation(content)))),
        "programs": sorted(set(programs_taught(content.data))),
        "subject": subject_of(content),
        "run_id": provenance.run_id,
        **about.model_dump(),
        **scope.model_dump(exclude={"labels"}),
    }


_BRING = """
with item as (
  insert into memory_items (tenant, id, version, digest, status, kind, content, provenance, terms, programs, subject,
                            goal_kind, runbook, alert, tool, error, agent, environment, thread, run_id, used, helped, hurt, created_at, changed_at,
                            confirmed_at, last_used_at)
  values (%(tenant)s, %(id)s, %(version)s, %(digest)s, %(status)s, %(kind)s, %(content)s, %(provenance)s, %(terms)s,
          %(programs)s, %(subject)s, %(goal_kind)s, %(runbook)s, %(alert)s, %(tool)s, %(error)s, %(agent)s, %(environment)s, %(thread)s, %(run_id)s,
          %(used)s, %(helped)s, %(hurt)s, %(created_at)s, %(changed_at)s, %(confirmed_at)s, %(last_used_at)s)
  on conflict do nothing returning tenant, id, version, content
)
insert into memory_versions (tenant, item, version, content, author, reason)
select tenant, id, version, content, %(author)s, %(reason)s from item
"""


async def bring_item(connection: Connection, tenant: str, item: MemoryItem, *, author: str) -> bool:
    """The item as it was elsewhere, its counts and times with it; false where its id is taken, be it by another tenant."""
    history = item.model_dump(
        include={
            "version",
            "used",
            "helped",
            "hurt",
            "created_at",
            "changed_at",
            "confirmed_at",
            "last_used_at",
        }
    )
    values = _values(tenant, item.id, item.content, item.provenance)
    cursor = await connection.execute(_BRING, values | history | {"author": author, "reason": "imported"})
    return cursor.rowcount == 1


async def put_vector(connection: Connection, tenant: str, item_id: str, model: str, vector: Vectors) -> None:
    await connection.execute(
        """insert into memory_vectors (tenant, item, model, embedding) values (%s, %s, %s, %s::halfvec)
           on conflict (item, model) do update set embedding = excluded.embedding""",
        (tenant, item_id, model, to_text(vector)),
    )


def situation(content: MemoryContent) -> str:
    """The text an item is found by: for what a run taught, the goal it was taught by comes first."""
    goal = content.data.get("goal")
    return f"{goal}\n{content.text}" if isinstance(goal, str) else content.text


def item_of(row: dict[str, Any]) -> MemoryItem:
    return MemoryItem.model_validate(row)


def subject_of(content: MemoryContent) -> str:
    """What a fact is about, where it says so."""
    subject = content.data.get("subject")
    return subject[:300] if isinstance(subject, str) and content.kind is MemoryKind.FACT else ""


_STANDING = f"""
select {COLUMNS} from memory_items i where i.id in (
  select id from memory_items where digest = %(digest)s and kind = %(kind)s
  union select id from memory_items
  where %(kind)s = 'lesson' and kind = 'lesson' and (tool, goal_kind, error) = (%(tool)s, %(goal_kind)s, %(error)s)
  union select id from memory_items where %(subject)s <> '' and subject = %(subject)s
) and i.status in ('active', 'proposed', 'quarantined') order by i.created_at for update
"""


async def standing(connection: Connection, content: MemoryContent) -> Sequence[MemoryItem]:
    """The items that a new one might repeat or contradict."""
    about = content.signature
    cursor = await connection.execute(
        _STANDING,
        {
            "kind": content.kind,
            "digest": identity(content),
            "subject": subject_of(content),
            "tool": about.tool,
            "goal_kind": about.goal_kind,
            "error": about.error,
        },
    )
    return [item_of(row) for row in await cursor.fetchall()]


async def locked(connection: Connection, item_id: str) -> MemoryItem:
    cursor = await connection.execute(
        f"select {COLUMNS} from memory_items i where id = %s for update", (item_id,)
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(
            f"There is no memory {item_id}.", remedy="`holdfast memory ls` lists them.", id=item_id
        )
    return item_of(row)


def with_status(content: MemoryContent, status: MemoryStatus, **more: Any) -> MemoryContent:
    return content.model_copy(update={"status": status, **more})


async def items_without_vector(connection: Connection, model: str, limit: int) -> Sequence[MemoryItem]:
    cursor = await connection.execute(
        f"""select {COLUMNS} from memory_items i
            where i.status in ('active', 'proposed', 'quarantined')
              and not exists (select from memory_vectors v where v.item = i.id and v.model = %s)
            order by i.id limit %s""",
        (model, limit),
    )
    return [item_of(row) for row in await cursor.fetchall()]
