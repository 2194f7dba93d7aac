"""Real servers, started once per session: Postgres and Temporal. Each test works in a database of its own."""

import itertools
import os
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from temporalio.client import Client

from holdfast.runtime.embedded.postgres import THROWAWAY, EmbeddedPostgres
from holdfast.runtime.embedded.temporal import TIME_SKIPPING, TUNED, EmbeddedTemporal
from holdfast.runtime.exit import leave
from holdfast.runtime.temporal import HoldfastPlugin, connect

if TYPE_CHECKING:
    from holdfast.adapters.postgres.database import Database

TEMPLATE = "holdfast_template"
_OURS = ("HOLDFAST_", "TEMPORAL_", "DATABASE_URL", "PG")
_numbers = itertools.count(1)
_exit_status = 0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-histories", metavar="FOLDER", help="write the histories of tests/runs there")
    parser.addoption("--full", action="store_true", help="run the long forms: battery, crash certificate")


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Whether the long form of a test was asked for."""
    return bool(pytestconfig.getoption("--full"))


def pytest_configure() -> None:
    """What the developer's shell sets must not decide what a test sees."""
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        del os.environ[name]


def pytest_sessionfinish(exitstatus: int) -> None:
    global _exit_status  # noqa: PLW0603 -- pytest_unconfigure is not told the status
    _exit_status = exitstatus


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """The Temporal client could turn a green session into exit code 134 on its way out."""
    if "temporalio" in sys.modules:
        leave(_exit_status)


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    folder = tmp_path_factory.mktemp("postgres")
    server = EmbeddedPostgres(folder, log=folder / "postgres.log", options=THROWAWAY)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="session")
async def temporal_address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A tuned server in memory, where tests may also skip time."""
    log = tmp_path_factory.mktemp("temporal") / "temporal.log"
    server = EmbeddedTemporal(log=log, dynamic={**TUNED, **TIME_SKIPPING})
    await server.start()
    yield server.address
    await server.stop()


@pytest.fixture(scope="session")
async def temporal_client(temporal_address: str) -> Client:
    return await connect(HoldfastPlugin(), address=temporal_address)


@pytest.fixture(scope="session")
async def template_database(postgres: EmbeddedPostgres) -> str:
    """The URL of a migrated database that is only ever copied."""
    from holdfast.adapters.postgres.migrate import migrate  # noqa: PLC0415 -- only tests with a database pay for it

    await _administer(postgres.url, sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
    url = with_database(postgres.url, TEMPLATE)
    await migrate(url)
    return url


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres, template_database: str) -> AsyncIterator[str]:
    """The owner's URL of a fresh, migrated database."""
    async for url in _copy(postgres.url):
        yield url


@pytest.fixture(scope="module")
async def module_database_url(postgres: EmbeddedPostgres, template_database: str) -> AsyncIterator[str]:
    """The same for a whole module, where its tests keep out of each other's way and speed counts."""
    async for url in _copy(postgres.url):
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator["Database"]:
    async for opened in _open(database_url):
        yield opened


@pytest.fixture(scope="module")
async def module_database(module_database_url: str) -> AsyncIterator["Database"]:
    async for opened in _open(module_database_url):
        yield opened


async def _copy(url: str) -> AsyncIterator[str]:
    name = f"test_{next(_numbers)}"
    copy = sql.SQL("create database {} template {}")
    await _administer(url, copy.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
    yield with_database(url, name)
    await _administer(url, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


async def _open(url: str) -> AsyncIterator["Database"]:
    from holdfast.adapters.postgres.database import Database  # noqa: PLC0415 -- see template_database

    opened = await Database.open(url)
    yield opened
    await opened.close()


async def _administer(url: str, statement: sql.Composed) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement)


def with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
