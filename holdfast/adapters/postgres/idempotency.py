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
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """insert into idempotency_keys as k (tenant, route, key, request_digest, lease_until)
                   values (%s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))
                   on conflict (tenant, route, key) do update set lease_until = excluded.lease_until
                   where k.request_digest = excluded.request_digest and k.response_status is null
                     and k.lease_until < clock_timestamp()
                   returning created_at""",
                (tenant, route, key, digest, lease_s),
            )
            claimed = await cursor.fetchone()
            if claimed is not None:
                return Claim("new", since=claimed["created_at"])
            cursor = await connection.execute(
                """select request_digest, response_status, response, created_at from idempotency_keys
                   where route = %s and key = %s""",
                (route, key),
            )
            row = await cursor.fetchone()
        if row is None:  # given up by its holder between the two statements
            return await self.claim(tenant, route, key, digest=digest, lease_s=lease_s)
        if row["request_digest"] != digest:
            return Claim("other", since=row["created_at"])
        if row["response_status"] is None:
            return Claim("in_flight", since=row["created_at"])
        return Claim(
            "again", since=row["created_at"], status=row["response_status"], response=row["response"]
        )

    async def settle(self, tenant: str, route: str, key: str, *, status: int, response: JsonObject) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                """update idempotency_keys set response_status = %s, response = %s
                   where route = %s and key = %s""",
                (status, Jsonb(response), route, key),
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
