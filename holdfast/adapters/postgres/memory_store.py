"""Everything that is done to single items and to memory as a whole: write, correct, confirm, forget, roll back."""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Sequence
from typing import Any

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.memory_giving_way import contradicted, one_at_a_time, supersede
from holdfast.adapters.postgres.memory_rows import (
    COLUMNS,
    item_of,
    locked,
    put_vector,
    situation,
    standing,
    with_status,
    write_item,
)
from holdfast.adapters.postgres.memory_vectors import MemoryVectors
from holdfast.errors import Conflict, InvalidInput, NotFound
from holdfast.ids import new_id
from holdfast.memory.contradiction import relation, renewed
from holdfast.memory.wording import visible
from schemas.memory import (
    MemoryContent,
    MemoryDraft,
    MemoryItem,
    MemoryKind,
    MemoryStatus,
    MemoryVersion,
    Provenance,
    Trust,
)


class MemoryStore(MemoryVectors):
    async def add(self, tenant: str, draft: MemoryDraft, *, author: str) -> MemoryItem:
        """What a person or program tells. What is from outside waits in quarantine until somebody confirms it."""
        status = MemoryStatus.QUARANTINED if draft.external else MemoryStatus.ACTIVE
        trust = Trust.EXTERNAL if draft.external else Trust.HUMAN
        names = MemoryDraft.model_fields.keys() & MemoryContent.model_fields.keys()
        fields = {name: getattr(draft, name) for name in names}
        content = MemoryContent(**fields, status=status, trust=trust, tainted=draft.external)
        _refuse_senseless(content)
        if draft.supersedes and draft.external:
            raise InvalidInput(
                "What is from outside supersedes nothing.", remedy="Confirm it first, then retire the other."
            )
        if draft.supersedes:
            await self.read(tenant, draft.supersedes)
        return await self.put(tenant, content, Provenance(author=author), replaces=draft.supersedes)

    async def put(
        self, tenant: str, content: MemoryContent, provenance: Provenance, *, replaces: str | None = None
    ) -> MemoryItem:
        """A repeated item is confirmed, a contradicted one superseded; nothing piles up."""
        content = content.model_copy(update={"text": visible(content.text)})
        vector = await self._early_vector(tenant, content)
        async with self._database.tenant(tenant) as connection:
            provenance = await _with_sources(connection, provenance)
            await one_at_a_time(connection, tenant)
            if content.trust is not Trust.HUMAN and await _any_forgotten(connection, provenance.derived_from):
                content = with_status(content, MemoryStatus.QUARANTINED, tainted=True)
            others = list(await standing(connection, content))
            met = relation(content, others)
            if met.relation == "same" and met.item and not replaces:
                return await self._again(connection, tenant, met.item, content, provenance)
            item_id = new_id("mem")
            gone = await contradicted(connection, tenant, item_id, content, others, provenance.author)
            if gone is None:
                content = with_status(content, MemoryStatus.PROPOSED)
            if replaces and replaces not in (gone or ()):
                old = await locked(connection, replaces)
                await supersede(connection, tenant, old, item_id, provenance.author)
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
        if content.trust is Trust.EXTERNAL and old.content.trust is not Trust.EXTERNAL:
            return old  # what comes from outside vouches for nothing
        kept = renewed(old.content, content)
        return await write_item(
            connection, tenant, old.id, kept, old.provenance, author=provenance.author, reason="seen again", confirms=True
        )  # fmt: skip

    async def _settled(
        self, connection: Connection, tenant: str, item: MemoryItem, content: MemoryContent, author: str
    ) -> MemoryContent:
        """What an item that is changed does to the others, as if it were told anew."""
        if content.status is not MemoryStatus.ACTIVE:
            return content
        others = [each for each in await standing(connection, content) if each.id != item.id]
        met = relation(content, others)
        if met.relation == "same" and met.item:
            raise Conflict(
                f"Memory {met.item.id} says this already.", remedy="Reject or forget one of the two.", id=met.item.id
            )  # fmt: skip
        if await contradicted(connection, tenant, item.id, content, others, author) is None:
            return with_status(content, MemoryStatus.PROPOSED)
        return content

    async def read(self, tenant: str, item_id: str) -> MemoryItem:
        async with self._database.tenant(tenant) as connection:
            return await locked(connection, item_id)

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
        read = await self.read(tenant, item_id)
        content = MemoryContent.model_validate(read.content.model_dump() | changes)
        content = content.model_copy(update={"text": visible(content.text)})
        _refuse_senseless(content)
        anew = situation(content) != situation(read.content)
        vector = await self._vector(tenant, content) if anew else None
        async with self._database.tenant(tenant) as connection:
            await one_at_a_time(connection, tenant)
            item = await locked(connection, item_id)
            if item.version != (read.version if version is None else version):
                raise Conflict(
                    f"Memory {item_id} is at version {item.version}, not {version or read.version}.",
                    remedy="Read it again.",
                )
            _refuse_forgotten(item)
            content = await self._settled(connection, tenant, item, content, author)
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


def _refuse_senseless(content: MemoryContent) -> None:
    if not visible(content.text).strip():
        raise InvalidInput("It says nothing.", remedy="Give it words.")
    if content.valid_from and content.valid_to and content.valid_from >= content.valid_to:
        raise InvalidInput(
            f"It would be so from {content.valid_from} until {content.valid_to}, which is no time at all.",
            remedy="Let it end after it begins.",
        )


def _refuse_forgotten(item: MemoryItem) -> None:
    if item.content.status is MemoryStatus.FORGOTTEN:
        raise Conflict(f"Memory {item.id} was forgotten.", remedy="Add it anew, if it should be known again.")


async def _with_sources(connection: Connection, provenance: Provenance) -> Provenance:
    """What a run teaches is derived from what the run was told: a poisoned item is found in all it led to."""
    if provenance.run_id is None or provenance.derived_from:
        return provenance
    cursor = await connection.execute(
        "select item from memory_uses where run_id = %s order by item limit 50", (provenance.run_id,)
    )
    sources = tuple(row["item"] for row in await cursor.fetchall())
    return provenance.model_copy(update={"derived_from": sources})


async def _any_forgotten(connection: Connection, sources: Sequence[str]) -> bool:
    """Whether a run was told what was forgotten meanwhile: what it teaches came too late to be forgotten along with it."""
    cursor = await connection.execute(
        "select from memory_items where id = any(%s) and status = 'forgotten' limit 1", (list(sources),)
    )
    return await cursor.fetchone() is not None
