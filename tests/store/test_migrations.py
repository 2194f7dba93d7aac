"""Migrations run once each, whoever starts them and however many do; what does not fit is refused; and whatever they
made keeps tenants apart."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.migrate import migrate, migrations, status
from holdfast.embedded.postgres import EmbeddedPostgres
from holdfast.errors import Misconfigured
from tests.databases import administer, with_database


@pytest.fixture
async def empty_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    name = sql.Identifier("never_migrated")
    await administer(postgres.url, sql.SQL("create database {}").format(name))
    yield with_database(postgres.url, "never_migrated")
    await administer(postgres.url, sql.SQL("drop database {} with (force)").format(name))


async def test_several_at_once_run_each_migration_once(empty_url: str) -> None:
    assert (await status(empty_url)).applied == ()
    ran = await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    names = [migration.name for migration in migrations()]
    assert max(ran, key=len) == names
    assert sum(map(len, ran)) == len(names)
    assert (await status(empty_url)).pending == ()


def test_each_migration_has_a_number_of_its_own() -> None:
    numbers = [int(migration.name[:4]) for migration in migrations()]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("insert into holdfast.migrations values ('9999_of_tomorrow.sql', 'x')", "upgrade this process"),
        (
            "update holdfast.migrations set checksum = 'x' where name = '0001_tenants.sql'",
            "changed after it ran",
        ),
    ],
)
async def test_what_does_not_fit_is_refused(database_url: str, change: str, said: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        await owner.execute(change)
    for refuse in (migrate, status):
        with pytest.raises(Misconfigured, match=said):
            await refuse(database_url)


async def test_a_database_that_cannot_hold_every_text_is_refused(postgres: EmbeddedPostgres) -> None:
    name = sql.Identifier("of_ascii")
    await administer(
        postgres.url,
        sql.SQL(
            "create database {} encoding 'SQL_ASCII' locale 'C' locale_provider libc template template0"
        ).format(name),
    )
    with pytest.raises(Misconfigured, match="encoded in SQL_ASCII"):
        await migrate(with_database(postgres.url, "of_ascii"))
    await administer(postgres.url, sql.SQL("drop database {}").format(name))


async def test_a_login_that_is_not_the_owners_is_told_so(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as owner:
        await owner.execute("create role passer_by login")
        await owner.execute("grant usage on schema holdfast to passer_by")
    url = database_url.replace("//holdfast@", "//passer_by@", 1)
    for ask in (migrate, status):
        with pytest.raises(Misconfigured, match="'passer_by' does not own the schema"):
            await ask(url)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as owner:
        await owner.execute("drop owned by passer_by")
        await owner.execute("drop role passer_by")


async def test_every_table_with_a_tenant_keeps_tenants_apart(database_url: str, database: Database) -> None:
    """By the catalogue, so that a table of tomorrow is in this test already."""
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        cursor = await owner.execute(
            "select c.relname, c.relrowsecurity, count(p.polname) from pg_class c"
            " join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant' and not a.attisdropped"
            " left join pg_policy p on p.polrelid = c.oid"
            " where c.relnamespace = 'holdfast'::regnamespace and c.relkind in ('r', 'p')"
            " group by 1, 2"
        )
        tables = await cursor.fetchall()
    assert len(tables) > 20
    assert [name for name, secured, policies in tables if not secured or not policies] == []
    for name, _, _ in tables:
        assert await seen_by_a_stranger(database, name) == 0, name


async def seen_by_a_stranger(database: Database, table: str) -> int:
    """Rows that a tenant sees who has none; of some tables a process sees nothing at all."""
    async with database.tenant("nobody-lives-here") as connection:
        cursor = await connection.execute("select has_table_privilege(%s, 'select') as may", (table,))
        if (await cursor.fetchone()) == {"may": False}:
            return 0
        counted = await connection.execute(sql.SQL("select from {}").format(sql.Identifier(table)))
        return counted.rowcount
