"""Summaries of long observations, as rows that go with their run."""

from holdfast.adapters.postgres.database import Database
from schemas.base import Digest
from schemas.stages import RunScope


class PostgresSummaries:
    """Fulfils `holdfast.llm.observations.SummaryShelf`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def read(self, tenant: str, key: Digest) -> str | None:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select summary from observation_summaries where key = %s", (key,)
            )
            row = await cursor.fetchone()
        return str(row["summary"]) if row else None

    async def keep(self, scope: RunScope, key: Digest, summary: str) -> None:
        async with self._database.tenant(scope.tenant) as connection:
            await connection.execute(
                """insert into observation_summaries (tenant, key, run_id, summary) values (%s, %s, %s, %s)
                   on conflict do nothing""",
                (scope.tenant, key, scope.run_id, summary),
            )
