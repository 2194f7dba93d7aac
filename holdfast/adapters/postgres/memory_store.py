"""Everything that is done to single items and to memory as a whole: write, correct, confirm, forget, roll back."""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.adapters.postgres.knowledge_vectors import CachedEmbedder
from holdfast.adapters.postgres.memory_rows import (
    COLUMNS,
    item_of,
    put_vector,
    situation,
    standing,
    with_status,
    write_item,
)
from holdfast.errors import Conflict, NotFound
from holdfast.ids import new_id
from holdfast.knowledge.indexing import View
from holdfast.memory.contradiction import relation
from schemas.memory import (
    MemoryContent,
    MemoryDraft,
    MemoryItem,
    MemoryKind,
    MemoryStatus,
    MemoryVersion,
    Provenance,
    Snapshot,
    Trust,
)

_FORGOTTEN = "(forgotten)"


class MemoryStore:
    def __init__(self, *, database: Database, embedder: CachedEmbedder | None) -> None:
        self._database = database
        self._embedder = embedder

    async def add(
        self, tenant: str, draft: MemoryDraft, *, author: str, trust: Trust = Trust.HUMAN
    ) -> MemoryItem:
        """What a person or program tells. External content waits in quarantine until somebody confirms it."""
        status = MemoryStatus.QUARANTINED if trust is Trust.EXTERNAL else MemoryStatus.ACTIVE
        fields = {name: getattr(draft, name) for name in MemoryDraft.model_fields if name != "supersedes"}
        content = MemoryContent(**fields, status=status, trust=trust, tainted=trust is Trust.EXTERNAL)
        if draft.supersedes:
            await self.read(tenant, draft.supersedes)
        return await self.put(tenant, content, Provenance(author=author), replaces=draft.supersedes)

    async def put(
        self, tenant: str, content: MemoryContent, provenance: Provenance, *, replaces: str | None = None
    ) -> MemoryItem:
        """A repeated item is confirmed, a contradicted one superseded; nothing piles up."""
        vector = await self._vector(tenant, content)
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "select pg_advisory_xact_lock(hashtextextended('memory ' || %s, 0))", (tenant,)
            )
            met = relation(content, await standing(connection, content))
            if met.relation == "same" and met.item and not replaces:
                return await self._again(connection, tenant, met.item, content, provenance)
            if met.relation == "outranked":
                content = with_status(content, MemoryStatus.PROPOSED)
            item_id = new_id("mem")
            if met.relation == "supersedes" and met.item and content.status is MemoryStatus.ACTIVE:
                await self._supersede(connection, tenant, met.item, item_id, provenance.author)
            if replaces and (met.item is None or met.item.id != replaces):
                old = await _locked(connection, replaces)
                await self._supersede(connection, tenant, old, item_id, provenance.author)
            item = await write_item(
                connection, tenant, item_id, content, provenance, author=provenance.author, reason="learned"
            )
            if vector is not None and self._embedder is not None:
                await put_vector(connection, tenant, item_id, self._embedder.model, vector)
        return item

    async def _again(
        self,
        connection: Connection,
        tenant: str,
        old: MemoryItem,
        content: MemoryContent,
        provenance: Provenance,
    ) -> MemoryItem:
        sure = min(0.99, old.content.confidence + 0.1 * (1 - old.content.confidence))
        status = content.status if old.content.status is MemoryStatus.PROPOSED else old.content.status
        kept = with_status(old.content, status, confidence=sure, trust=max(old.content.trust, content.trust))
        return await write_item(
            connection, tenant, old.id, kept, old.provenance, author=provenance.author, reason="seen again", confirms=True
        )  # fmt: skip

    async def _supersede(
        self, connection: Connection, tenant: str, old: MemoryItem, by: str, author: str
    ) -> None:
        content = with_status(old.content, MemoryStatus.SUPERSEDED, superseded_by=by)
        await write_item(
            connection, tenant, old.id, content, old.provenance, author=author, reason=f"superseded by {by}"
        )

    async def _vector(self, tenant: str, content: MemoryContent) -> Any:
        if self._embedder is None:
            return None
        return (await self._embedder.embed(tenant, [View(0, situation(content))])).vectors[0]

    async def read(self, tenant: str, item_id: str) -> MemoryItem:
        async with self._database.tenant(tenant) as connection:
            return await _locked(connection, item_id)

    async def items(
        self,
        tenant: str,
        *,
        kind: MemoryKind | None = None,
        status: MemoryStatus | None = None,
        run_id: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> Sequence[MemoryItem]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""select {COLUMNS} from memory_items i
                    where (%(kind)s::text is null or kind = %(kind)s)
                      and (%(status)s::text is null or status = %(status)s)
                      and (%(run)s::text is null or run_id = %(run)s) and id > %(after)s
                    order by id limit %(limit)s""",
                {"kind": kind, "status": status, "run": run_id, "after": after, "limit": limit},
            )
            return [item_of(row) for row in await cursor.fetchall()]

    async def edit(
        self,
        tenant: str,
        item_id: str,
        changes: dict[str, Any],
        *,
        author: str,
        reason: str,
        version: int | None = None,
    ) -> MemoryItem:
        """A new version with these fields changed. With `version`, only if nobody changed it since."""
        item = await self.read(tenant, item_id)
        content = MemoryContent.model_validate(item.content.model_dump() | changes)
        vector = await self._vector(tenant, content) if content.text != item.content.text else None
        async with self._database.tenant(tenant) as connection:
            item = await _locked(connection, item_id)
            if version is not None and item.version != version:
                raise Conflict(
                    f"Memory {item_id} is at version {item.version}, not {version}.", remedy="Read it again."
                )
            _refuse_forgotten(item)
            item = await write_item(
                connection,
                tenant,
                item_id,
                content,
                item.provenance,
                author=author,
                reason=reason,
                confirms=True,
            )
            if vector is not None and self._embedder is not None:
                await put_vector(connection, tenant, item_id, self._embedder.model, vector)
        return item

    async def confirm(self, tenant: str, item_id: str, *, author: str, reason: str = "") -> MemoryItem:
        changes = {"status": MemoryStatus.ACTIVE, "trust": Trust.HUMAN, "tainted": False, "confidence": 0.95}
        return await self.edit(tenant, item_id, changes, author=author, reason=reason or "confirmed")

    async def reject(self, tenant: str, item_id: str, *, author: str, reason: str = "") -> MemoryItem:
        changes = {"status": MemoryStatus.RETIRED}
        return await self.edit(tenant, item_id, changes, author=author, reason=reason or "rejected")

    async def versions(self, tenant: str, item_id: str) -> Sequence[MemoryVersion]:
        """Every version, newest first."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select item as id, version, content, author, reason, created_at from memory_versions
                   where item = %s order by version desc""",
                (item_id,),
            )
            return [MemoryVersion.model_validate(row) for row in await cursor.fetchall()]

    async def rollback(self, tenant: str, item_id: str, version: int, *, author: str) -> MemoryItem:
        """The words of an older version, as a new one."""
        found = [each for each in await self.versions(tenant, item_id) if each.version == version]
        if not found:
            raise NotFound(f"Memory {item_id} has no version {version}.", id=item_id)
        return await self.edit(
            tenant, item_id, found[0].content.model_dump(), author=author, reason=f"back to version {version}"
        )

    async def forget(self, tenant: str, item_id: str, *, author: str, derived: bool = True) -> Sequence[str]:
        """Really delete its words, versions and vectors, and those of all that was derived from it."""
        async with self._database.tenant(tenant) as connection:
            await _locked(connection, item_id)
            ids = await _with_derived(connection, [item_id]) if derived else [item_id]
            await self._erase(connection, ids, author)
        return ids

    async def forget_run(self, tenant: str, run_id: str, *, author: str) -> Sequence[str]:
        """Undo everything a run taught, and everything derived from that."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("select id from memory_items where run_id = %s", (run_id,))
            ids = await _with_derived(connection, [row["id"] for row in await cursor.fetchall()])
            await self._erase(connection, ids, author)
        return ids

    async def _erase(self, connection: Connection, ids: Sequence[str], author: str) -> None:
        cursor = await connection.execute(
            "select id, version, content from memory_items where id = any(%s) for update", (list(ids),)
        )
        for row in await cursor.fetchall():
            blank = MemoryContent(kind=row["content"]["kind"], status=MemoryStatus.FORGOTTEN, text=_FORGOTTEN)
            await connection.execute("delete from memory_vectors where item = %s", (row["id"],))
            await connection.execute("delete from memory_versions where item = %s", (row["id"],))
            await connection.execute(
                """insert into memory_versions (tenant, item, version, content, author, reason)
                   values (current_tenant(), %s, %s, %s, %s, 'forgotten')""",
                (row["id"], row["version"] + 1, Jsonb(blank.model_dump(mode="json")), author),
            )
            await connection.execute(
                """update memory_items set content = %s, status = 'forgotten', terms = '{}', goal_kind = '', tool = '',
                     error = '', runbook = '', alert = '', version = version + 1, digest = 'sha256:' || encode(sha256(id::bytea), 'hex'),
                     changed_at = clock_timestamp()
                   where id = %s""",
                (Jsonb(blank.model_dump(mode="json")), row["id"]),
            )

    async def snapshot(self, tenant: str, name: str, *, note: str = "") -> Snapshot:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """insert into memory_snapshots (tenant, name, note) values (%s, %s, %s)
                   on conflict (tenant, name) do nothing
                   returning name, note, at, (select count(*) from memory_items where status = 'active')::int as items""",
                (tenant, name, note),
            )
            row = await cursor.fetchone()
        if row is None:
            raise Conflict(f"There is a snapshot {name!r} already.", remedy="Choose another name.")
        return Snapshot.model_validate(row)

    async def snapshots(self, tenant: str) -> Sequence[Snapshot]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("select name, note, at from memory_snapshots order by at desc")
            return [Snapshot.model_validate(row) for row in await cursor.fetchall()]

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
                item, was = item_of(row), row["was"]
                content = (
                    MemoryContent.model_validate(was)
                    if was
                    else with_status(item.content, MemoryStatus.RETIRED)
                )
                await write_item(
                    connection,
                    tenant,
                    item.id,
                    content,
                    item.provenance,
                    author=author,
                    reason=f"restored to {when}",
                )
        return len(rows)

    async def export(self, tenant: str) -> Sequence[MemoryItem]:
        found: list[MemoryItem] = []
        while page := await self.items(tenant, after=found[-1].id if found else "", limit=500):
            found.extend(page)
        return found

    async def import_items(self, tenant: str, items: Sequence[MemoryItem], *, author: str) -> int:
        """Items of an export, by what they say: what stands already is not doubled."""
        kept = [item for item in items if item.content.status is not MemoryStatus.FORGOTTEN]
        for item in kept:
            await self.put(tenant, item.content, item.provenance.model_copy(update={"author": author}))
        return len(kept)

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


async def _locked(connection: Connection, item_id: str) -> MemoryItem:
    cursor = await connection.execute(
        f"select {COLUMNS} from memory_items i where id = %s for update", (item_id,)
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(
            f"There is no memory {item_id}.", remedy="`holdfast memory ls` lists them.", id=item_id
        )
    return item_of(row)


def _refuse_forgotten(item: MemoryItem) -> None:
    if item.content.status is MemoryStatus.FORGOTTEN:
        raise Conflict(f"Memory {item.id} was forgotten.", remedy="Add it anew, if it should be known again.")


async def _with_derived(connection: Connection, ids: Sequence[str]) -> list[str]:
    cursor = await connection.execute(
        """with recursive derived (id) as (
             select unnest(%s::text[])
             union
             select i.id from memory_items i join derived d on i.provenance->'derived_from' ? d.id)
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
        raise NotFound(f"There is no snapshot {at!r}.", remedy="`holdfast memory snapshots` lists them.")
    moment: datetime = row["at"]
    return moment
