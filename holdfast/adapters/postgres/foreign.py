"""Reading from somebody else's Postgres: one statement, in a transaction that cannot write, within a time and a size."""

import json
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from holdfast.errors import InvalidInput, ToolFailed, Unprocessable
from holdfast.tools.builtin.sql import Statement, Table

_MOST_CHARS = 20_000
_MOST_TOTAL = 2_000_000
_CONNECT_S = 10


class ForeignPostgres:
    """Fulfils `holdfast.tools.builtin.sql.Queries`."""

    async def read(self, url: str, statement: Statement) -> Table:
        try:
            async with await _connected(url, statement.timeout_s) as connection:
                return await _rows(connection, statement)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise Unprocessable("The statement would write.", remedy="sql.query only reads.") from error
        except psycopg.errors.QueryCanceled as error:
            raise ToolFailed(f"The statement took longer than {statement.timeout_s:g} s.") from error
        except psycopg.OperationalError as error:
            raise ToolFailed(
                f"The database of {statement.database!r} cannot be reached ({type(error).__name__}).",
                remedy="Is it up, and may this worker connect to it?",
            ) from error
        except psycopg.Error as error:
            raise InvalidInput(
                f"Postgres refused the statement: {error.diag.message_primary or error}"
            ) from error


async def _connected(url: str, timeout_s: float) -> AsyncConnection[Any]:
    options = f"-c default_transaction_read_only=on -c statement_timeout={int(timeout_s * 1000)}"
    try:
        return await AsyncConnection.connect(
            url, options=options, connect_timeout=_CONNECT_S, application_name="holdfast sql.query"
        )
    except psycopg.ProgrammingError as error:
        raise ToolFailed("The secret holds no Postgres URL.") from error  # its text may be in the error


async def _rows(connection: AsyncConnection[Any], statement: Statement) -> Table:
    """A prepared statement is exactly one, so nothing can end the read-only transaction and go on behind it."""
    await connection.set_read_only(True)
    # Rolled back at the end whatever it did.
    async with connection.transaction(force_rollback=True), connection.cursor() as cursor:
        values = statement.parameters or None
        await cursor.execute(sql.SQL(statement.query), values, prepare=True)
        if cursor.description is None:
            raise Unprocessable("The statement returns no rows.", remedy="sql.query only reads.")
        columns = tuple(column.name for column in cursor.description)
        found = await cursor.fetchmany(statement.limit + 1)
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in found[: statement.limit]:
        rows.append(tuple(_plain(value) for value in row))
        size += len(json.dumps(rows[-1]))
        if size > _MOST_TOTAL:
            return Table(columns=columns, rows=tuple(rows[:-1]), more=True)
    return Table(columns=columns, rows=tuple(rows), more=len(found) > statement.limit)


def _plain(value: Any) -> Any:
    """As JSON has it; everything else as text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | dict):
        text = json.dumps(value, default=str)
        return value if len(text) <= _MOST_CHARS else text[:_MOST_CHARS]
    text = value.hex() if isinstance(value, bytes | memoryview) else str(value)
    return text[:_MOST_CHARS]
