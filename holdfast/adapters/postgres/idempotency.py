"""What was answered to an Idempotency-Key. A row without an answer is a request under way, or one whose process died:
its lease tells them apart."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from schemas.base import JsonObject


@dataclass(frozen=True)
class Claim:
    """`new`: do it and `settle`. `again`: here is the answer. `in_flight`: somebody is at it. `other`: another body."""

    outcome: Literal["new", "again", "in_flight", "other"]
    since: datetime
    status: int = 0
    response: JsonObject | None = None


class PostgresIdempotency:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def claim(self, tenant: str, route: str, key: str, *, digest: str, lease_s: float) -> Claim:
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select * from claim_key(%s, %s, %s, %s, %s)", (tenant, route, key, digest, lease_s)
            )
            row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - a function with out parameters answers with one row
        return Claim(row["outcome"], since=row["since"], status=row["status"] or 0, response=row["response"])

    async def settle(self, tenant: str, route: str, key: str, *, status: int, response: JsonObject) -> None:
        async with self._database.statement() as connection:
            await connection.execute(
                "select settle_key(%s, %s, %s, %s, %s)", (tenant, route, key, status, Jsonb(response))
            )

    async def give_up(self, tenant: str, route: str, key: str) -> None:
        """The request did nothing that counts: the key is free again."""
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "delete from idempotency_keys where route = %s and key = %s and response_status is null",
                (route, key),
            )

    async def prune(self, *, older_than_s: float) -> int:
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select prune_idempotency_keys(make_interval(secs => %s)) as gone", (older_than_s,)
            )
            row = await cursor.fetchone()
        return int(row["gone"]) if row else 0
