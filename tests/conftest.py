"""Real servers, started once per session: Postgres and Temporal. Each test works in a database of its own."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from psycopg import sql
from temporalio.client import Client
from temporalio.service import RPCError

from holdfast.embedded.postgres import THROWAWAY, EmbeddedPostgres
from holdfast.embedded.temporal import TIME_SKIPPING, TUNED, EmbeddedTemporal
from holdfast.runtime.exit import leave
from holdfast.runtime.temporal import HoldfastPlugin, connect
from tests.databases import Databases, administer, with_database
from tests.interpreters import OpenPython, open_python
from tests.places import quick_folder

if TYPE_CHECKING:
    from holdfast.adapters.postgres.database import Database

TEMPLATE = "holdfast_template"
_OURS = ("HOLDFAST_", "TEMPORAL_", "DATABASE_URL", "PG")
_TEMPORAL = pytest.StashKey[str]()
_exit_status = 0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-histories", metavar="FOLDER", help="write the histories of tests/runs there")
    parser.addoption(
        "--write-contracts", action="store_true", help="write the snapshot of tests/contracts anew"
    )
    parser.addoption("--full", action="store_true", help="run the long forms: battery, crash certificate")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `long` is left to the target that asks for it; it counts as deselected, for nothing stops it here."""
    if config.getoption("full"):
        return
    chosen = [item for item in items if item.get_closest_marker("long") is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


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
def reachable_python() -> Iterator[OpenPython]:
    """Of this version, for another user and for what is in a sandbox."""
    with open_python() as python:
        yield python


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    with quick_folder() as folder:
        server = EmbeddedPostgres(folder, log=folder / "postgres.log", options=THROWAWAY)
        await server.start()
        yield server
        await server.stop()


@pytest.fixture(scope="session")
async def temporal_address(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[str]:
    """A tuned server in memory, where tests may also skip time."""
    log = tmp_path_factory.mktemp("temporal") / "temporal.log"
    server = EmbeddedTemporal(log=log, dynamic={**TUNED, **TIME_SKIPPING})
    await server.start()
    pytestconfig.stash[_TEMPORAL] = server.address
    yield server.address
    del pytestconfig.stash[_TEMPORAL]
    await server.stop()


@pytest.fixture(scope="module", autouse=True)
async def nothing_left_running(pytestconfig: pytest.Config) -> AsyncIterator[None]:
    """A module leaves the server as it found it: the next one's workers would take up runs whose database is gone."""
    yield
    address = pytestconfig.stash.get(_TEMPORAL, None)
    if address is None:
        return
    client = await connect(HoldfastPlugin(), address=address)
    open_runs = [run async for run in client.list_workflows("ExecutionStatus = 'Running'")]
    for run in open_runs:
        with suppress(RPCError):  # it has just ended by itself
            await client.get_workflow_handle(run.id, run_id=run.run_id).terminate()
    async for schedule in await client.list_schedules():
        with suppress(RPCError):  # it was deleted a moment ago
            await client.get_schedule_handle(schedule.id).delete()


@pytest.fixture(scope="session")
async def temporal_client(temporal_address: str) -> Client:
    return await connect(HoldfastPlugin(), address=temporal_address)


@pytest.fixture(scope="session")
async def databases(postgres: EmbeddedPostgres) -> AsyncIterator[Databases]:
    """Copies of a migrated database."""
    from holdfast.adapters.postgres.migrate import migrate  # noqa: PLC0415 -- only tests with a database pay for it

    await administer(postgres.url, sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
    await migrate(with_database(postgres.url, TEMPLATE))
    copies = Databases(postgres.url, TEMPLATE)
    yield copies
    await copies.close()


@pytest.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """The owner's URL of a fresh, migrated database."""
    url = await databases.take()
    yield url
    databases.give_back(url)


@pytest.fixture(scope="module")
async def module_database_url(databases: Databases) -> AsyncIterator[str]:
    """The same for a whole module, where its tests keep out of each other's way and speed counts."""
    url = await databases.take()
    yield url
    databases.give_back(url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator["Database"]:
    async for opened in _open(database_url):
        yield opened


@pytest.fixture(scope="module")
async def module_database(module_database_url: str) -> AsyncIterator["Database"]:
    async for opened in _open(module_database_url):
        yield opened


async def _open(url: str) -> AsyncIterator["Database"]:
    from holdfast.adapters.postgres.database import Database  # noqa: PLC0415 -- see databases

    opened = await Database.open(url)
    yield opened
    await opened.close()
