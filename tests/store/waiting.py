"""Who waits for whose lock, as Postgres sees it."""

import asyncio

from holdfast.adapters.postgres.database import Connection, Database
from tests.patience import pauses


async def until_waiting(database: Database, holder: Connection, *, count: int = 1) -> None:
    """As soon as so many wait for what this connection holds, or for whoever waits for it."""
    looks = pauses()
    async with asyncio.timeout(30):
        while True:
            if await _waiting(database, holder.info.backend_pid) >= count:
                return
            await asyncio.sleep(next(looks))


async def _waiting(database: Database, holder: int) -> int:
    async with database.statement() as connection:
        cursor = await connection.execute(
            """with recursive behind(pid) as (
                 select %s::int
                 union select a.pid from pg_stat_activity a join behind b on b.pid = any(pg_blocking_pids(a.pid)))
               select count(*) - 1 as waiting from behind""",
            (holder,),
        )
        row = await cursor.fetchone()
    return int(row["waiting"]) if row else 0
