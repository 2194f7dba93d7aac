"""Memory as it leaves and as it comes in: an export taken into an empty tenant is the same export again."""

from collections.abc import Iterable, Mapping, Sequence

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.memory_giving_way import contradicted, one_at_a_time
from holdfast.adapters.postgres.memory_rows import bring_item, standing, with_status
from holdfast.adapters.postgres.memory_undoing import MemoryUndoing
from holdfast.ids import new_id
from holdfast.memory.contradiction import identity, relation
from holdfast.memory.wording import visible
from schemas.memory import MemoryContent, MemoryItem, MemoryStatus

_OVER = (MemoryStatus.SUPERSEDED, MemoryStatus.RETIRED)
"""States in which nothing that comes anew is held against an item."""
_EMBEDDED_AT_ONCE = 100
"""While whoever imports waits; upkeep embeds the rest, and till then words and signatures find them."""


class MemoryMoving(MemoryUndoing):
    async def export(self, tenant: str) -> Sequence[MemoryItem]:
        found: list[MemoryItem] = []
        while page := await self.items(tenant, after=found[-1].id if found else "", limit=500):
            found.extend(page)
        return found

    async def import_items(self, tenant: str, items: Sequence[MemoryItem], *, author: str) -> int:
        """Items of an export, as they were: what stands already is left alone, what contradicts it is settled as ever.

        An id that is taken is replaced, and with it whatever names it: what was derived is still traced.
        """
        kept = [item for item in items if item.content.status is not MemoryStatus.FORGOTTEN]
        async with self._database.tenant(tenant) as connection:
            await one_at_a_time(connection, tenant)
            known = await _known(connection, kept)
            fresh = [item for item in kept if identity(item.content) not in known]
            names = {item.id: known[identity(item.content)] for item in kept if item not in fresh}
            for item in fresh:
                names[item.id] = await _brought(connection, tenant, item, author)
            await _rename(connection, fresh, {old: new for old, new in names.items() if old != new})
        await self.embed_early(tenant, limit=_EMBEDDED_AT_ONCE)
        return len(kept)


async def _known(connection: Connection, items: Iterable[MemoryItem]) -> dict[str, str]:
    """By what they say, the ids of those that are here already, in whatever state."""
    cursor = await connection.execute(
        "select digest, max(id) as id from memory_items where digest = any(%s) and status <> 'forgotten' group by digest",
        ([identity(item.content) for item in items],),
    )
    return {row["digest"]: row["id"] for row in await cursor.fetchall()}


async def _brought(connection: Connection, tenant: str, item: MemoryItem, author: str) -> str:
    """The id under which it is here now."""
    content, others = item.content.model_copy(update={"text": visible(item.content.text)}), list[MemoryItem]()
    if content.status not in _OVER:
        others = list(await standing(connection, content))
        met = relation(content, others)
        if met.relation == "same" and met.item:  # two of one export say the same
            return met.item.id
        if content.status is MemoryStatus.ACTIVE and _outranked(content, others):
            content = with_status(content, MemoryStatus.PROPOSED)
    item = item.model_copy(update={"content": content})
    if not await bring_item(connection, tenant, item, author=author):
        item = item.model_copy(update={"id": new_id("mem")})
        await bring_item(connection, tenant, item, author=author)
    await contradicted(connection, tenant, item.id, content, others, author)
    return item.id


def _outranked(content: MemoryContent, others: Sequence[MemoryItem]) -> bool:
    return any(relation(content, [each]).relation == "outranked" for each in others)


async def _rename(connection: Connection, items: Sequence[MemoryItem], names: Mapping[str, str]) -> None:
    """Wherever an item names one that has another id here."""
    for item in items:
        derived, by = item.provenance.derived_from, item.content.superseded_by
        if names.keys().isdisjoint({*derived, by}):
            continue
        provenance = {"derived_from": [names.get(each, each) for each in derived]}
        content = {"superseded_by": names.get(by, by)} if by else {}
        here = names.get(item.id, item.id)
        await connection.execute(
            "update memory_items set provenance = provenance || %s, content = content || %s where id = %s",
            (Jsonb(provenance), Jsonb(content), here),
        )
        await connection.execute(
            "update memory_versions set content = content || %s where item = %s", (Jsonb(content), here)
        )
