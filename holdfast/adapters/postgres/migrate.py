"""Numbered SQL files, each run once, in one transaction, under an advisory lock; a changed file is refused.

Runs as the owner of the schema. Safe to start from several processes at once: the others wait and find nothing to do.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from holdfast.errors import Misconfigured, Unavailable

_LOCK = 4_052_011_948_712_663_115
_FILE_NAME = re.compile(r"^\d{4}_[a-z_]+\.sql$")


@dataclass(frozen=True)
class Migration:
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Status:
    applied: tuple[str, ...]
    pending: tuple[str, ...]


FIRST = "0001_tenants.sql"
"""Run where nothing was there before."""


def migrations() -> Sequence[Migration]:
    """The migrations this version ships, in order."""
    folder = files("holdfast.adapters.postgres") / "migrations"
    found = [
        Migration(entry.name, entry.read_text()) for entry in folder.iterdir() if _FILE_NAME.match(entry.name)
    ]
    return sorted(found, key=lambda migration: migration.name)


async def migrate(url: str) -> list[str]:
    """Bring the database up to this version; the names of what was run come back."""
    async with await _connect(url) as connection:
        await _prepare(connection)
        applied = await _applied(connection)
        _refuse_drift(applied)
        pending = [migration for migration in migrations() if migration.name not in applied]
        for migration in pending:
            await _run(connection, migration)
        return [migration.name for migration in pending]


async def status(url: str) -> Status:
    """What has run and what has not, without changing anything."""
    async with await _connect(url) as connection:
        cursor = await connection.execute("select to_regclass('holdfast.migrations') is not null")
        row = await cursor.fetchone()
        applied = await _applied(connection) if row and row[0] else {}
    _refuse_drift(applied)
    names = [migration.name for migration in migrations()]
    return Status(tuple(applied), tuple(name for name in names if name not in applied))


async def _connect(url: str) -> AsyncConnection[TupleRow]:
    try:
        return await AsyncConnection.connect(
            url, autocommit=True, connect_timeout=10, options="-c search_path=holdfast,public"
        )
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:  # the second: a URL it cannot read
        raise unreachable(error) from error


def unreachable(error: psycopg.Error) -> Unavailable:
    """In one line, without the question that libpq adds."""
    said = [line.strip(" \t.") for line in str(error).splitlines() if not line.endswith("?")]
    return Unavailable(
        f"The database cannot be reached: {'; '.join(filter(None, said))}.",
        remedy="Check DATABASE_URL and that Postgres is up.",
    )


async def _prepare(connection: AsyncConnection[TupleRow]) -> None:
    if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
        raise Misconfigured(
            f"The database is encoded in {encoding}, which cannot hold every text.",
            remedy="Create it with: create database ... encoding 'UTF8' template template0",
        )
    await connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
    try:
        await connection.execute("create schema if not exists holdfast")
        await connection.execute(
            "create table if not exists holdfast.migrations"
            " (name text primary key, checksum text not null, applied_at timestamptz not null default now())"
        )
    except psycopg.errors.InsufficientPrivilege as error:
        raise _not_the_owner(connection) from error


async def _applied(connection: AsyncConnection[TupleRow]) -> dict[str, str]:
    try:
        cursor = await connection.execute("select name, checksum from holdfast.migrations order by name")
    except psycopg.errors.InsufficientPrivilege as error:
        raise _not_the_owner(connection) from error
    return dict(await cursor.fetchall())


def _not_the_owner(connection: AsyncConnection[TupleRow]) -> Misconfigured:
    return Misconfigured(
        f"The login {connection.info.user!r} does not own the schema, so it can neither migrate it nor look.",
        remedy="Set HOLDFAST_DATABASE__MIGRATE_URL to the owner's URL.",
    )


def _refuse_drift(applied: dict[str, str]) -> None:
    shipped = {migration.name: migration.checksum for migration in migrations()}
    for name, checksum in applied.items():
        if name not in shipped:
            raise Misconfigured(
                f"The database has migration {name}, which this version does not know.",
                remedy="It was migrated by a newer version: upgrade this process.",
            )
        if shipped[name] != checksum:
            raise Misconfigured(
                f"Migration {name} was changed after it ran here.",
                remedy="Restore the released file; a change belongs into a new migration.",
            )


async def _run(connection: AsyncConnection[TupleRow], migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.text.encode())
            await connection.execute(
                "insert into holdfast.migrations (name, checksum) values (%s, %s)",
                (migration.name, migration.checksum),
            )
    except psycopg.Error as error:
        raise Misconfigured(
            f"Migration {migration.name} failed: {error}",
            remedy="Nothing of it was kept. It needs the owner's rights.",
        ) from error
