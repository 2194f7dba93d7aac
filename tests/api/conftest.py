"""A real API on a real socket, in front of real Postgres and Temporal servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr
from temporalio.client import Client

from api.access import bootstrap_key
from api.app import create_app, end_streams
from api.server import Server, server_config
from api.services import Services
from holdfast.adapters.postgres.access import PostgresKeys
from holdfast.adapters.postgres.database import Database
from holdfast.client import Holdfast
from holdfast.errors import Unavailable
from holdfast.runtime.sealing import new_keyring_text
from holdfast.runtime.settings import (
    ApiSettings,
    AuthSettings,
    DatabaseSettings,
    KnowledgeSettings,
    Settings,
    TemporalSettings,
)
from holdfast.runtime.temporal import HoldfastPlugin, connect
from schemas.access import ApiKeyDraft
from schemas.base import JsonObject
from schemas.runs import RunStatus

KEYRING = new_keyring_text()


@dataclass
class RunningApi:
    """An API that listens, and the admin's way in."""

    url: str
    key: str
    services: Services
    server: Server
    _open: list[httpx.AsyncClient | Holdfast] = field(default_factory=list)

    def http(self, key: str | None = None) -> httpx.AsyncClient:
        client = httpx.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {key or self.key}"}, timeout=20
        )
        self._open.append(client)
        return client

    def stranger(self) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=self.url, timeout=20)
        self._open.append(client)
        return client

    def client(self, key: str | None = None) -> Holdfast:
        holdfast = Holdfast(self.url, key or self.key)
        self._open.append(holdfast)
        return holdfast

    async def new_key(
        self, *roles: str, tenant: str = "default", environments: tuple[str, ...] | None = None
    ) -> str:
        draft = ApiKeyDraft(name="test", roles=roles, environments=environments)
        keys = PostgresKeys(database=self.services.database)
        return (await keys.create(tenant, draft, created_by="test")).token

    async def close(self) -> None:
        for client in self._open:
            await (client.aclose() if isinstance(client, httpx.AsyncClient) else client.close())


@asynccontextmanager
async def serve(
    database_url: str,
    reach: Callable[[Database], Awaitable[Client]],
    *,
    api: ApiSettings | None = None,
    auth: AuthSettings | None = None,
) -> AsyncIterator[RunningApi]:
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(database_url)),
        api=api or ApiSettings(),
        auth=auth or AuthSettings(reads_per_s=10_000, writes_per_s=10_000),
        knowledge=KnowledgeSettings(embedding="none"),
        temporal=TemporalSettings(encryption_keys=SecretStr(KEYRING)),
    )
    app = create_app(settings, connect=reach)
    server = Server(server_config(app, settings.api, port=0), end_streams=lambda: end_streams(app))
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "the API did not start"
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    database = app.state.services.database
    running = RunningApi(
        url=f"http://127.0.0.1:{port}",
        key=await bootstrap_key(database),
        services=app.state.services,
        server=server,
    )
    try:
        yield running
    finally:
        await running.close()
        server.should_exit = True
        await task


async def temporal_is_away(_database: Database) -> Client:
    raise Unavailable("Temporal cannot be reached.")


def reaching(address: str) -> Callable[[Database], Awaitable[Client]]:
    async def reach(_database: Database) -> Client:
        return await connect(HoldfastPlugin(), address=address)

    return reach


@pytest.fixture(scope="module")
async def api(module_database_url: str, temporal_address: str) -> AsyncIterator[RunningApi]:
    """One API for a whole module: its tests keep apart by their runs and keys."""
    async with serve(module_database_url, reaching(temporal_address)) as running:
        yield running


async def make_tenant(api: RunningApi, name: str) -> None:
    async with api.services.database.tenant(name) as connection:
        await connection.execute("insert into tenants (tenant) values (%s) on conflict do nothing", (name,))


async def tell(
    api: RunningApi, run_id: str, *types: str, status: str | None = None, data: JsonObject | None = None
) -> None:
    """Events, and perhaps a status, as a worker would record them."""
    told = data or {"status": status}
    events = [{"key": f"{kind}-{uuid4().hex}", "type": kind, "data": told} for kind in types]
    patch = Jsonb({"status": status}) if status else None
    async with api.services.database.statement() as connection:
        await connection.execute(
            "select record_run('default', %s, %s, %s, 'told')", (run_id, patch, Jsonb(events))
        )


async def end_run(api: RunningApi, run_id: str, status: RunStatus = RunStatus.SUCCEEDED) -> None:
    await tell(api, run_id, "run.ended", status=status)


async def until(happened: Callable[[], Awaitable[bool]], *, patience_s: float = 10) -> None:
    async with asyncio.timeout(patience_s):
        while not await happened():  # noqa: ASYNC110 - the world outside sets no event of ours
            await asyncio.sleep(0.01)
