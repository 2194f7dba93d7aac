"""What an item that comes to stand does to those that it contradicts: they are superseded, or are so until it begins to be."""

from collections.abc import Sequence
from datetime import UTC, datetime

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.memory_rows import with_status, write_item
from holdfast.memory.contradiction import ends_at, relation
from schemas.memory import MemoryContent, MemoryItem, MemoryStatus


async def one_at_a_time(connection: Connection, tenant: str) -> None:
    """Two items that contradict each other must not both come to stand."""
    await connection.execute("select pg_advisory_xact_lock(hashtextextended('memory ' || %s, 0))", (tenant,))


async def supersede(connection: Connection, tenant: str, old: MemoryItem, by: str, author: str) -> None:
    content = with_status(old.content, MemoryStatus.SUPERSEDED, superseded_by=by)
    await write_item(
        connection, tenant, old.id, content, old.provenance, author=author, reason=f"superseded by {by}"
    )


async def give_way(
    connection: Connection, tenant: str, old: MemoryItem, new: MemoryContent, by: str, author: str
) -> None:
    """What is contradicted is superseded, or is so until the new fact begins to be."""
    end = ends_at(new, old.content, datetime.now(UTC))
    if end is None:
        await supersede(connection, tenant, old, by, author)
        return
    content = with_status(old.content, old.content.status, valid_to=end)
    await write_item(
        connection, tenant, old.id, content, old.provenance, author=author, reason=f"until {end}, then {by}"
    )  # fmt: skip


async def contradicted(
    connection: Connection,
    tenant: str,
    item_id: str,
    content: MemoryContent,
    others: Sequence[MemoryItem],
    author: str,
) -> Sequence[str] | None:
    """All that an item contradicts, once it has given way; None where one of them is trusted more, and nothing does."""
    if content.status is not MemoryStatus.ACTIVE:
        return ()
    left, met = list(others), []
    while (each := relation(content, left)).item is not None:
        if each.relation == "outranked":
            return None
        left.remove(each.item)
        if each.relation == "supersedes":
            met.append(each.item)
    for old in met:
        await give_way(connection, tenant, old, content, item_id, author)
    return [old.id for old in met]
