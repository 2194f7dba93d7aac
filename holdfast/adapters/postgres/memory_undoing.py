"""How memory is taken back: forgetting with all that was derived, tracing, snapshots, a point in time, expiry."""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.memory_rows import (
    COLUMNS,
    item_of,
    locked,
    situation,
    with_status,
    write_item,
)
from holdfast.adapters.postgres.memory_store import MemoryStore
from holdfast.errors import Conflict, NotFound
from holdfast.knowledge.indexing import View
from schemas.memory import Given, MemoryContent, MemoryStatus, MemoryTrace, Snapshot

_FORGOTTEN = "(forgotten)"


class MemoryUndoing(MemoryStore):
    async def trace(self, tenant: str, item_id: str) -> MemoryTrace:
        """What was derived from an item, and the runs that were told it or anything derived from it."""
        async with self._database.tenant(tenant) as connection:
            await locked(connection, item_id)
            ids = await _with_derived(connection, [item_id])
            cursor = await connection.execute(
                """select run_id, max(version) as version, max(outcome) as outcome, max(at) as at
                   from memory_uses where item = any(%s) group by run_id order by max(at) desc limit 1000""",
                (ids,),
            )
            given = tuple(Given.model_validate(row) for row in await cursor.fetchall())
        return MemoryTrace(id=item_id, derived=tuple(each for each in ids if each != item_id), given=given)

    async def forget(self, tenant: str, item_id: str, *, author: str, derived: bool = True) -> Sequence[str]:
        """Really delete its words, versions and vectors, and those of all that was derived from it."""
        async with self._database.tenant(tenant) as connection:
            await locked(connection, item_id)
            ids = await _with_derived(connection, [item_id]) if derived else [item_id]
            await self._erase(connection, ids, author)
        return ids

    async def forget_run(self, tenant: str, run_id: str, *, author: str) -> Sequence[str]:
        """Undo everything a run taught, and everything derived from that."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("select id from memory_items where run_id = %s", (run_id,))
            ids = await _with_derived(connection, [row["id"] for row in await cursor.fetchall()])
            await self._erase(connection, ids, author)
            await connection.execute("delete from memory_feedback where run_id = %s", (run_id,))
        return ids

    async def _erase(self, connection: Connection, ids: Sequence[str], author: str) -> None:
        cursor = await connection.execute(
            "select id, version, content from memory_items where id = any(%s) for update", (list(ids),)
        )
        rows = await cursor.fetchall()
        await _forget_copies(connection, ids)
        for row in rows:
            blank = MemoryContent(kind=row["content"]["kind"], status=MemoryStatus.FORGOTTEN, text=_FORGOTTEN)
            await connection.execute("delete from memory_versions where item = %s", (row["id"],))
            await connection.execute(
                """insert into memory_versions (tenant, item, version, content, author, reason)
                   values (current_tenant(), %s, %s, %s, %s, 'forgotten')""",
                (row["id"], row["version"] + 1, Jsonb(blank.model_dump(mode="json")), author),
            )
            await connection.execute(
                """update memory_items set content = %s, status = 'forgotten', terms = '{}', programs = '{}', subject = '',
                     goal_kind = '', tool = '', error = '', runbook = '', alert = '', version = version + 1, digest = 'sha256:' || encode(sha256(id::bytea), 'hex'),
                     changed_at = clock_timestamp()
                   where id = %s""",
                (Jsonb(blank.model_dump(mode="json")), row["id"]),
            )

    async def snapshot(self, tenant: str, name: str, *, note: str = "", scheduled: bool = False) -> Snapshot:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """insert into memory_snapshots (tenant, name, note, scheduled) values (%s, %s, %s, %s)
                   on conflict (tenant, name) do nothing
                   returning name, note, at, scheduled,
                     (select count(*) from memory_items where status = 'active')::int as items""",
                (tenant, name, note, scheduled),
            )
            row = await cursor.fetchone()
        if row is None:
            raise Conflict(f"There is a snapshot {name!r} already.", remedy="Choose another name.")
        return Snapshot.model_validate(row)

    async def snapshots(self, tenant: str) -> Sequence[Snapshot]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select name, note, at, scheduled from memory_snapshots order by at desc"
            )
            return [Snapshot.model_validate(row) for row in await cursor.fetchall()]

    async def snapshot_if_due(self, tenant: str, *, every: timedelta) -> Snapshot | None:
        """By the clock: only where something has changed since the last one."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select to_char(clock_timestamp() at time zone 'utc', 'YYYYMMDD-HH24MISS') as name
                   where exists (
                     select from memory_versions where created_at > coalesce(
                       (select max(at) from memory_snapshots), '-infinity'))
                   and not exists (
                     select from memory_snapshots where scheduled and at > clock_timestamp() - %s)""",
                (every,),
            )
            row = await cursor.fetchone()
        if row is None:
            return None
        try:
            return await self.snapshot(tenant, f"auto-{row['name']}", note="by the clock", scheduled=True)
        except Conflict:
            return None  # another process was quicker

    async def drop_snapshots(self, tenant: str, *, older_than: timedelta) -> int:
        """Those of the clock; a snapshot that a person named stays."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "delete from memory_snapshots where scheduled and at < clock_timestamp() - %s", (older_than,)
            )
            return cursor.rowcount

    async def erase_retired(self, tenant: str, *, older_than: timedelta, author: str) -> int:
        """Really delete the words of what was retired or superseded so long ago; that something was there stays."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select id from memory_items
                   where status in ('retired', 'superseded') and changed_at < clock_timestamp() - %s
                   order by id limit 1000""",
                (older_than,),
            )
            ids = [row["id"] for row in await cursor.fetchall()]
            await self._erase(connection, ids, author)
        return len(ids)

    async def restore(self, tenant: str, at: datetime | str, *, author: str) -> int:
        """All memory as it stood at a time, or at a snapshot; how many items changed. What was forgotten stays so."""
        async with self._database.tenant(tenant) as connection:
            when = await _moment(connection, at)
            cursor = await connection.execute(
                f"""select {COLUMNS}, old.content as was from memory_items i
                    left join lateral (
                      select v.content from memory_versions v where v.item = i.id and v.created_at <= %s
                      order by v.version desc limit 1) old on true
                    where i.changed_at > %s and i.status <> 'forgotten' order by i.id for update of i""",
                (when, when),
            )
            rows = await cursor.fetchall()
            # First what goes, then what comes back: two items may have said the same, one after the other.
            for row in sorted(
                rows, key=lambda each: each["was"] is not None and each["was"]["status"] == "active"
            ):
                await _bring_back(connection, tenant, row, author=author, reason=f"restored to {when}")
        await self.embed_early(tenant, limit=max(1, len(rows)))
        return len(rows)

    async def expire(self, tenant: str, *, idle_days: int, author: str) -> int:
        """Retire what has expired, and unpinned episodes that nobody used or confirmed for so long."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""select {COLUMNS} from memory_items i
                    where status = 'active' and not coalesce((content->>'pinned')::boolean, false) and (
                      (content->>'expires_at')::timestamptz < clock_timestamp()
                      or kind = 'episode'
                         and greatest(confirmed_at, last_used_at) < clock_timestamp() - make_interval(days => %s))
                    order by id limit 1000 for update""",
                (idle_days,),
            )
            old = [item_of(row) for row in await cursor.fetchall()]
            for item in old:
                content = with_status(item.content, MemoryStatus.RETIRED)
                await write_item(
                    connection, tenant, item.id, content, item.provenance, author=author, reason="expired"
                )
        return len(old)


async def _bring_back(
    connection: Connection, tenant: str, row: dict[str, Any], *, author: str, reason: str
) -> None:
    """One item as it was, or retired where it was not yet. A vector of words that no longer stand is dropped."""
    item, was = item_of(row), row["was"]
    content = MemoryContent.model_validate(was) if was else with_status(item.content, MemoryStatus.RETIRED)
    await write_item(connection, tenant, item.id, content, item.provenance, author=author, reason=reason)
    if situation(content) != situation(item.content):
        await connection.execute("delete from memory_vectors where item = %s", (item.id,))


async def _forget_copies(connection: Connection, ids: Sequence[str]) -> None:
    """Wherever the words of any version stand besides: vectors, which tell of them, cached ones too; the correction an
    item was drawn from; answers that are kept for who repeats a request; and plans that are kept of runs that taught
    an item or were told it.
    """
    cursor = await connection.execute(
        "select content from memory_versions where item = any(%s)", (list(ids),)
    )
    contents = [MemoryContent.model_validate(row["content"]) for row in await cursor.fetchall()]
    digests = [View(0, situation(content)).digest for content in contents]
    await connection.execute("delete from embedding_cache where digest = any(%s)", (digests,))
    await connection.execute("delete from memory_vectors where item = any(%s)", (list(ids),))
    await connection.execute(
        "delete from memory_feedback where item = any(%s) or correction = any(%s)",
        (list(ids), [content.text for content in contents]),
    )
    await connection.execute(
        "delete from idempotency_keys where response::text like any(%s)", ([f"%{each}%" for each in ids],)
    )
    await connection.execute(
        """delete from plan_cache where run_id in (
             select run_id from memory_uses where item = any(%(ids)s)
             union select provenance->>'run_id' from memory_items where id = any(%(ids)s))""",
        {"ids": list(ids)},
    )


async def _with_derived(connection: Connection, ids: Sequence[str]) -> list[str]:
    cursor = await connection.execute(
        """with recursive derived (id) as (
             select unnest(%s::text[])
             union
             select i.id from memory_items i join derived d on i.provenance->'derived_from' @> to_jsonb(d.id))
           select id from derived order by id""",
        (list(ids),),
    )
    return [row["id"] for row in await cursor.fetchall()]


async def _moment(connection: Connection, at: datetime | str) -> datetime:
    if isinstance(at, datetime):
        return at
    cursor = await connection.execute("select at from memory_snapshots where name = %s", (at,))
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no snapshot {at!r}.", remedy="`holdfast memory snapshot` lists them.")
    moment: datetime = row["at"]
    return moment
