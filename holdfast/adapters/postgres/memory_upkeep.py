"""What is done to every tenant's memory by the clock: snapshots, expiry, deletion, vectors under a new model."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.memory_undoing import MemoryUndoing

KEEPER = "holdfast"
_PAGE = 200


class MemoryUpkeep:
    """Every chore may be done twice, by several processes at once, or not today."""

    def __init__(self, *, database: Database, memory: MemoryUndoing) -> None:
        self._database = database
        self._memory = memory

    async def snapshot(self, *, every: timedelta, kept: timedelta) -> int:
        """How many were taken."""

        async def of(tenant: str) -> int:
            await self._memory.drop_snapshots(tenant, older_than=kept)
            return int(await self._memory.snapshot_if_due(tenant, every=every) is not None)

        return await self._of_each(of)

    async def expire(self, *, idle: timedelta) -> int:
        """Retire what expired or lay idle; erase what has been retired as long again."""

        async def of(tenant: str) -> int:
            erased = await self._memory.erase_retired(tenant, older_than=idle, author=KEEPER)
            return erased + await self._memory.expire(tenant, idle_days=idle.days, author=KEEPER)

        return await self._of_each(of)

    async def embed(self) -> int:
        """Give items their vectors under the model at hand, after another one was set."""

        async def of(tenant: str) -> int:
            done = page = await self._memory.embed_missing(tenant, limit=_PAGE)
            while page == _PAGE:
                page = await self._memory.embed_missing(tenant, limit=_PAGE)
                done += page
            return done

        return await self._of_each(of)

    async def purge_embeddings(self, *, older_than: timedelta) -> int:
        async with self._database.statement() as connection:
            cursor = await connection.execute("select purge_embeddings(%s) as purged", (older_than,))
            row = await cursor.fetchone()
        return int(row["purged"]) if row else 0

    async def purge_staged(self, *, older_than: timedelta) -> int:
        async with self._database.statement() as connection:
            cursor = await connection.execute("select purge_staged(%s) as purged", (older_than,))
            row = await cursor.fetchone()
        return int(row["purged"]) if row else 0

    async def _of_each(self, chore: Callable[[str], Awaitable[int]]) -> int:
        async with self._database.statement() as connection:
            cursor = await connection.execute("select tenants_that_remember() as tenant")
            tenants = [row["tenant"] for row in await cursor.fetchall()]
        return sum([await chore(tenant) for tenant in tenants])
