"""The breakers of the deployments as rows: every worker sees the same health, by the database's clock."""

from collections.abc import Callable, Sequence
from datetime import datetime

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.llm import breaker as states
from holdfast.llm.failures import AT_ONCE
from schemas.models import Breaker, BreakerRule


class PostgresBreakers:
    """Fulfils `holdfast.llm.ports.Breakers`. Each change is decided by the pure state machine, under a row lock."""

    def __init__(self, *, database: Database, rule: BreakerRule) -> None:
        self._database = database
        self._rule = rule

    async def read(self) -> tuple[datetime, Sequence[Breaker]]:
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                """select c.now, b.* from (select clock_timestamp() as now) c left join model_breakers b on true"""
            )
            rows = await cursor.fetchall()
        return rows[0]["now"], [Breaker.model_validate(row) for row in rows if row["deployment"]]

    async def enter(self, deployment: str) -> bool:
        let_in = False

        def enter(breaker: Breaker, now: datetime) -> Breaker:
            nonlocal let_in
            entered = states.entered(breaker, self._rule, now)
            let_in = entered is not None
            return entered or breaker

        await self._change(deployment, enter)
        return let_in

    async def report(
        self, deployment: str, *, failure: str | None, retry_after_s: float | None = None
    ) -> None:
        def report(breaker: Breaker, now: datetime) -> Breaker:
            if failure is None:
                return states.succeeded(breaker)
            at_once = failure in AT_ONCE or retry_after_s is not None
            return states.failed(
                breaker, self._rule, now, reason=failure, retry_after_s=retry_after_s, at_once=at_once
            )

        await self._change(deployment, report)

    async def release(self, deployment: str) -> None:
        await self._change(deployment, states.released)

    async def _change(self, deployment: str, change: Callable[[Breaker, datetime], Breaker]) -> None:
        async with self._database.statement() as connection, connection.transaction():
            breaker, now = await _locked(connection, deployment)
            changed = change(breaker, now)
            if changed != breaker:
                await connection.execute(
                    """update model_breakers set state = %s, failures = %s, opened = %s, until = %s, reason = %s,
                              updated_at = clock_timestamp()
                       where deployment = %s""",
                    (
                        changed.state,
                        changed.failures,
                        changed.opened,
                        changed.until,
                        changed.reason,
                        deployment,
                    ),
                )


async def _locked(connection: Connection, deployment: str) -> tuple[Breaker, datetime]:
    await connection.execute(
        "insert into model_breakers (deployment, state) values (%s, 'closed') on conflict do nothing",
        (deployment,),
    )
    cursor = await connection.execute(
        "select *, clock_timestamp() as now from model_breakers where deployment = %s for update",
        (deployment,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError(f"the breaker of {deployment} was deleted while it was in use")
    return Breaker.model_validate(row), row["now"]
