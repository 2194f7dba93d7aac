"""What a worker process holds open, built from settings, released in reverse order."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from temporalio.client import Client

from holdfast.adapters.postgres.database import Database, Role
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.errors import Misconfigured
from holdfast.runtime.settings import Settings
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.runtime.workers import temporal_runtime
from holdfast.sandbox.port import Sandbox

if TYPE_CHECKING:
    from holdfast.adapters.shelf import Models, Shelf
    from holdfast.knowledge.ports import Embedder

log = structlog.get_logger()


class Parts:
    """Opens each part when it is first asked for; closes them all at the end."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self.settings = settings
        self._stack = stack
        self._databases: dict[Role, Database] = {}
        self._client: Client | None = None
        self._sandbox: Sandbox | None = None
        self._models: Models | None = None

    @property
    def identity(self) -> str:
        return f"{os.getpid()}@{socket.gethostname()}"

    async def database(self, role: Role = "holdfast_app") -> Database:
        if role not in self._databases:
            url = self.settings.database.url
            if url is None:
                raise Misconfigured("There is no database.", remedy="Set DATABASE_URL, or use `holdfast up`.")
            database = await Database.open(
                url.get_secret_value(),
                role=role,
                min_size=self.settings.database.pool_min,
                max_size=self.settings.database.pool_max,
                application=f"holdfast worker {os.getpid()}",
            )
            self._stack.push_async_callback(database.close)
            self._databases[role] = database
        return self._databases[role]

    async def client(self, *, role: Role) -> Client:
        if self._client is None:
            self._client = await self._connected(role)
        return self._client

    async def _connected(self, role: Role) -> Client:
        payloads = PostgresPayloads(await self.database(role))
        workers = self.settings.workers
        return await connect(
            HoldfastPlugin.of(
                self.settings.temporal, payloads=payloads, tracing=bool(self.settings.telemetry.otlp_endpoint)
            ),
            address=self.settings.temporal.address,
            runtime=temporal_runtime(metrics_host=workers.metrics_host, metrics_port=workers.metrics_port),
            identity=self.identity,
        )

    def closes(self, close: Callable[[], Awaitable[None]]) -> None:
        """What has to be released before the process ends."""
        self._stack.push_async_callback(close)

    def models(self) -> "Models":
        """What embeds and reranks, one of each for the process."""
        from holdfast.adapters.shelf import models_of  # noqa: PLC0415 -- numpy, for three queues of four

        if self._models is None:
            self._models = models_of(self.settings.knowledge)
            self._stack.push_async_callback(self._models.close)
        return self._models

    def embedder(self) -> "Embedder | None":
        """None where words alone are searched."""
        return self.models().embedder

    async def shelf(self) -> "Shelf":
        """The library and the memory of this process."""
        from holdfast.adapters.shelf import shelf_of  # noqa: PLC0415 -- as above

        return shelf_of(await self.database(), self.settings.knowledge, self.models())

    def sandbox(self) -> Sandbox:
        if self._sandbox is None:
            sandbox = self._backend()
            self._stack.push_async_callback(sandbox.close)
            self._sandbox = sandbox
        return self._sandbox

    def _backend(self) -> Sandbox:
        from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox  # noqa: PLC0415 -- for one queue of four
        from holdfast.adapters.sandbox_docker import DockerSandbox  # noqa: PLC0415
        from holdfast.adapters.secrets import SecretFolder  # noqa: PLC0415
        from holdfast.sandbox.limits import Ceiling  # noqa: PLC0415

        settings, slots = self.settings.sandbox, self.settings.workers.tools_slots
        store = (settings.store or Path(self.settings.data_dir) / "workspaces").absolute()
        ceiling = Ceiling(**settings.ceiling.model_dump())
        if settings.backend == "docker":
            return DockerSandbox(
                store=store,
                image=settings.docker_image,
                runtime=settings.docker_runtime,
                ceiling=ceiling,
                concurrency=slots,
            )
        return BubblewrapSandbox(
            store=store,
            bwrap=settings.bwrap,
            readable=settings.readable,
            concurrency=slots,
            ceiling=ceiling,
            allow_degraded=bool(settings.accept_degraded) or self.settings.profile == "dev",
            secrets=SecretFolder(self.settings.tools.secrets or self.settings.data_dir / "secrets"),
        )


@asynccontextmanager
async def parts(settings: Settings) -> AsyncIterator[Parts]:
    async with AsyncExitStack() as stack:
        yield Parts(settings, stack)
