"""Whether the database is as new as this program; asked once, by every process that serves."""

import psycopg

from holdfast.adapters.postgres.migrate import migrations, unreachable
from holdfast.errors import Misconfigured

_NOT_THERE = {"3F000", "42883", "42P01"}  # no schema, no function, no table: never migrated, or long ago


async def require_current_schema(url: str) -> None:
    """A newer database is fine: a deploy migrates first, and the old processes go on until they are replaced."""
    wanted = migrations()[-1].name
    found = await _newest(url)
    if found < wanted:
        raise Misconfigured(
            f"The database is at {found or 'no migration'}, and this program needs {wanted}.",
            remedy="Run `holdfast db migrate`.",
        )


async def _newest(url: str) -> str:
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=10) as connection:
            row = await (await connection.execute("select holdfast.newest_migration()")).fetchone()
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        if error.sqlstate in _NOT_THERE:
            return ""
        raise unreachable(error) from error
    return row[0] if row and row[0] else ""
