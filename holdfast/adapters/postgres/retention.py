"""How long what ended runs leave behind is kept."""

from collections.abc import Sequence
from datetime import timedelta

from psycopg import sql

from holdfast.adapters.postgres.database import Database


class PostgresRetention:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def purge_events(self, older_than: timedelta) -> int:
        return await self._purge("purge_events", older_than)

    async def purge_artifacts(self, older_than: timedelta) -> int:
        return await self._purge("purge_artifacts", older_than)

    async def purge_model_calls(self, older_than: timedelta) -> int:
        return await self._purge("purge_model_calls", older_than)

    async def purge_plans(self, older_than: timedelta) -> int:
        return await self._purge("purge_plans", older_than)

    async def purge_summaries(self, older_than: timedelta) -> int:
        return await self._purge("purge_summaries", older_than)

    async def ended_runs(self, *, since: timedelta, until: timedelta) -> Sequence[tuple[str, str]]:
        """Tenant and id of the runs that ended between these ages."""
        async with self._database.statement() as connection:
            cursor = await connection.execute("select tenant, run_id from ended_runs(%s, %s)", (since, until))
            return [(row["tenant"], row["run_id"]) for row in await cursor.fetchall()]

    async def _purge(self, function: str, older_than: timedelta) -> int:
        statement = sql.SQL("select {}(%s) as purged").format(sql.Identifier(function))
        async with self._database.statement() as connection:
            cursor = await connection.execute(statement, (older_than,))
            row = await cursor.fetchone()
        return int(row["purged"]) if row else 0
