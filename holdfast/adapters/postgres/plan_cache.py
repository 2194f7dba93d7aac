"""Plans kept for reuse, as rows: offered once their run has succeeded, and no longer when a run that took one failed."""

from collections.abc import Sequence
from typing import Any

from pgvector import Vector
from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.llm.plan_cache import KeptPlan, Outcome
from schemas.base import Digest

_OFFERED = """
  from plan_cache c join runs r on r.id = c.run_id and r.status = 'succeeded'
  where c.space = %(space)s and c.created_at > clock_timestamp() - make_interval(secs => %(age_s)s)
    and not exists (select from plan_cache_uses u join runs f on f.id = u.used_by
                    where u.made_for = c.run_id and f.status in ('failed', 'rejected', 'timed_out'))
"""


class PostgresPlanShelf:
    """Fulfils `holdfast.llm.plan_cache.PlanShelf`."""

    def __init__(self, *, database: Database, longest_s: float = 7 * 86_400) -> None:
        self._database = database
        self._longest_s = longest_s

    async def exact(self, tenant: str, space: Digest, key: Digest) -> KeptPlan | None:
        found = await self._read(
            tenant, f"{_OFFERED} and c.key = %(key)s order by c.created_at desc limit 1", space=space, key=key
        )
        return found[0] if found else None

    async def near(
        self, tenant: str, space: Digest, embedding: Sequence[float], *, limit: int
    ) -> Sequence[KeptPlan]:
        return await self._read(
            tenant,
            f"""{_OFFERED} and vector_dims(c.embedding) = %(size)s
                order by c.embedding <=> %(vector)s::vector limit %(limit)s""",
            space=space,
            vector=Vector(list(embedding)).to_text(),
            size=len(embedding),
            limit=limit,
        )

    async def newest(self, tenant: str, space: Digest, *, limit: int) -> Sequence[KeptPlan]:
        return await self._read(
            tenant, f"{_OFFERED} order by c.created_at desc limit %(limit)s", space=space, limit=limit
        )

    async def keep(self, plan: KeptPlan) -> None:
        vector = Vector(list(plan.embedding)).to_text() if plan.embedding else None
        async with self._database.tenant(plan.tenant) as connection:
            await connection.execute(
                """insert into plan_cache (tenant, space, key, run_id, goal, inputs, plan, embedding)
                   values (%s, %s, %s, %s, %s, %s, %s, %s::vector)
                   on conflict (tenant, space, key, run_id) do update set plan = excluded.plan""",
                (
                    plan.tenant,
                    plan.space,
                    plan.key,
                    plan.run_id,
                    plan.goal,
                    Jsonb(plan.inputs),
                    Jsonb(plan.plan.model_dump(mode="json")),
                    vector,
                ),
            )

    async def used(self, plan: KeptPlan, *, by: str, outcome: Outcome) -> None:
        async with self._database.tenant(plan.tenant) as connection:
            await connection.execute(
                """insert into plan_cache_uses (tenant, made_for, used_by, outcome) values (%s, %s, %s, %s)
                   on conflict do nothing""",
                (plan.tenant, plan.run_id, by, outcome),
            )
        await self.count(plan.tenant, outcome)

    async def count(self, tenant: str, outcome: Outcome) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                """insert into plan_cache_counts (tenant, day, outcome, count) values (%s, current_date, %s, 1)
                   on conflict (tenant, day, outcome) do update set count = plan_cache_counts.count + 1""",
                (tenant, outcome),
            )

    async def counts(self, tenant: str, *, days: int = 30) -> dict[str, int]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select outcome, sum(count)::bigint as count from plan_cache_counts
                   where day > current_date - %s::int group by outcome order by outcome""",
                (days,),
            )
            return {row["outcome"]: row["count"] for row in await cursor.fetchall()}

    async def _read(self, tenant: str, condition: str, **values: Any) -> list[KeptPlan]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"select c.tenant, c.space, c.key, c.goal, c.inputs, c.plan, c.run_id, c.embedding::text {condition}",
                {"age_s": self._longest_s, **values},
            )
            return [_kept(row) for row in await cursor.fetchall()]


def _kept(row: dict[str, Any]) -> KeptPlan:
    vector = row["embedding"]
    numbers = tuple(map(float, vector.strip("[]").split(","))) if vector else ()
    return KeptPlan.model_validate({**row, "embedding": numbers})
