"""The one pool of a process. Every connection gives up its own rights first and takes those of a role that owns
nothing, so that row-level security holds for whatever is sent over it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, Self

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from holdfast.errors import (
    Conflict,
    HoldfastError,
    LimitReached,
    Misconfigured,
    NotFound,
    RolledBack,
    RunIsOver,
    Unavailable,
    Unprocessable,
)

Role = Literal["holdfast_app", "holdfast_tools"]
Connection = AsyncConnection[DictRow]

_MOST_TIMES = 4
"""Whoever is chosen to end a circle of waits finds it gone: the others have gone on."""

SEARCH_PATH = "-c search_path=holdfast,public -c timezone=UTC"


class Database:
    """Connections under a role without ownership. `tenant()` for questions, `call()` for the SQL functions that write,
    `statement()` for what else sets the tenant itself."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        role: Role = "holdfast_app",
        min_size: int = 1,
        max_size: int = 10,
        application: str = "holdfast",
        timeout_s: float = 10.0,
    ) -> Self:
        async def take_role(connection: Connection) -> None:
            await connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))

        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=min_size,
            max_size=max_size,
            timeout=timeout_s,
            open=False,
            configure=take_role,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "application_name": application,
                "options": SEARCH_PATH,
                # A cached plan would keep the planner settings of the moment it was made.
                "prepare_threshold": None,
            },
        )
        try:
            await pool.open(wait=True, timeout=timeout_s)
        except (psycopg.Error, PoolTimeout) as error:
            await pool.close()
            raise Unavailable(
                f"Postgres does not let role {role} in at {_without_password(url)}: {error}",
                remedy="Check DATABASE_URL, and that `holdfast db migrate` has run.",
            ) from error
        return cls(pool)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def tenant(self, tenant: str) -> AsyncIterator[Connection]:
        """One transaction that sees the rows of this tenant only."""
        begin = sql.SQL("begin; select set_config('holdfast.tenant', {}, true)").format(sql.Literal(tenant))
        async with self._connection() as connection:
            await connection.execute(begin)  # in one round trip
            try:
                yield connection
            except BaseException:
                await connection.rollback()
                raise
            await connection.commit()

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Connection]:
        """A connection in autocommit, for the functions that set the tenant themselves: one call, one round trip."""
        async with self._connection() as connection:
            yield connection

    async def call(self, statement: bytes, *arguments: Any) -> DictRow:
        """One SQL function, and the first row it answers with."""
        return (await self.calls([(statement, arguments)]))[0]

    async def calls(self, calls: Sequence[tuple[bytes, Sequence[Any]]]) -> list[DictRow]:
        """SQL functions in one round trip, of which Postgres makes one transaction. Where it rolls that back so that others
        may go on, they are called again."""
        time = 1
        while True:
            try:
                return await self._once(calls)
            except RolledBack:
                if time == _MOST_TIMES:
                    raise
                time += 1

    async def _once(self, calls: Sequence[tuple[bytes, Sequence[Any]]]) -> list[DictRow]:
        async with self._connection() as connection:
            if len(calls) == 1:
                cursors = [await connection.execute(*calls[0])]
            else:
                async with connection.pipeline():
                    cursors = [await connection.execute(*call) for call in calls]
            return [await cursor.fetchone() or {} for cursor in cursors]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise Unavailable(
                "No Postgres connection came free in time.", remedy="Is Postgres up? Is the pool too small?"
            ) from error
        except psycopg.Error as error:
            raise translated(error) from error


def translated(error: psycopg.Error) -> HoldfastError:
    """Our error for one of Postgres'. Only states are read, never messages."""
    state = error.sqlstate or ""
    detail = error.diag.message_primary or str(error)
    if state == "HF404":
        return NotFound(detail)
    if state == "HF410":
        return RunIsOver(detail)
    if state == "HF429":
        return LimitReached(
            detail, remedy="Wait until runs have ended, or ask for a larger quota.", retry_after_s=30
        )
    if state.startswith("22") or isinstance(
        error, psycopg.DataError
    ):  # the driver itself refuses NUL in a text
        return Unprocessable(f"Postgres cannot hold this value: {detail}")
    if state.startswith("23"):
        return Conflict(detail)
    if state.startswith(("08", "57P", "53")) or state in {"", "25006"}:
        return Unavailable(f"Postgres is away: {detail}", remedy="The call is safe to repeat.")
    if state in ("40001", "40P01"):
        return RolledBack(f"Postgres gave up the transaction so that others could go on: {detail}")
    if state in ("3F000", "42P01", "42883", "42703"):
        return Misconfigured(f"The database schema is too old: {detail}", remedy="Run `holdfast db migrate`.")
    return HoldfastError(f"Postgres refused a statement ({state}): {detail}")


def _without_password(url: str) -> str:
    info: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(url)
    return f"{info.get('host', 'localhost')}:{info.get('port', 5432)}/{info.get('dbname', '')}"
