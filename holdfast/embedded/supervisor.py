"""One supervisor, one stack: what it starts, in which order, and how all of it ends.

Postgres and Temporal start side by side; the processes that need both start side by side after the migrations. An
address somebody gave is used, and nothing is started in its place.
"""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from holdfast.embedded import temporal
from holdfast.embedded.addresses import choose_api_port, metrics_ports, require_database_port
from holdfast.embedded.keeper import Keeper, Tell
from holdfast.embedded.lock import FolderLock, unusable
from holdfast.embedded.logins import admit_toolbox, as_toolbox
from holdfast.embedded.nursery import Nursery
from holdfast.embedded.parts import Part, Program
from holdfast.embedded.ports import Claims
from holdfast.embedded.postgres import EmbeddedPostgres
from holdfast.embedded.state import StackState, write_state
from holdfast.embedded.temporal import EmbeddedTemporal
from holdfast.runtime.environment import without_secrets
from holdfast.runtime.settings import Queue, Settings

Migrate = Callable[[str], Awaitable[object]]
"""Makes a database with this URL ready for use; given by the entry point, which may know adapters."""

_DRAIN_MARGIN_S = 5.0


class Supervisor:
    """Built for one `holdfast up`. `changed` is called with every change of state."""

    def __init__(
        self,
        settings: Settings,
        *,
        migrate: Migrate,
        tell: Tell,
        changed: Callable[[StackState], None] = lambda _state: None,
    ) -> None:
        self._settings = settings
        self._silence_s = settings.stack.silence_s
        self._folder = settings.data_dir.resolve()
        self._migrate = migrate
        self._tell = tell
        self._changed = changed
        self._lock = FolderLock(self._folder)
        self._ports = Claims()
        self._started_at = datetime.now(UTC)
        self._ready = False
        self._postgres: EmbeddedPostgres | None = None
        self._temporal: EmbeddedTemporal | None = None
        self._nursery = Nursery(self._nursery_environment(), log=self._folder / "logs" / "nursery.log")
        self._api_port = 0
        self._metrics_ports: Mapping[Queue, int] = {}
        self._servers: list[Keeper] = []
        self._processes: list[Keeper] = []

    @property
    def state(self) -> StackState:
        keepers = [*self._servers, *self._processes]
        return StackState(
            pid=os.getpid(),
            started_at=self._started_at,
            ready=self._ready,
            api_url=f"http://{self._settings.api.host}:{self._api_port}",
            temporal_address=self._temporal_address,
            temporal_ui=self._temporal.ui_url if self._temporal else "",
            database_url=self._database_url,
            parts=tuple(keeper.state for keeper in keepers),
        )

    async def start(self) -> None:
        """Everything is ready when this returns; when it raises, nothing of it runs."""
        self._lock.take()
        try:
            await self._check_given_temporal()
            self._api_port = choose_api_port(self._settings, self._ports)
            require_database_port(self._settings.database, self._ports)
            self._metrics_ports = metrics_ports(self._settings, self._ports)
            self._choose_servers()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._nursery.open())
                group.create_task(self._start_database())
                group.create_task(self._start_temporal())
            self._choose_processes()
            await _start_all(self._processes)
        except BaseException as error:
            await self.stop()
            raise self._told(_first(error)) from error
        self._ready = True
        self._write()

    def _told(self, error: BaseException) -> BaseException:
        """Of files, by the name of the file; other errors tell for themselves what they are about."""
        if isinstance(error, OSError) and (error.filename or error.errno == errno.ENOSPC):
            return unusable(self._folder, error)
        return error

    async def stop(self) -> None:
        """Processes first, draining, while the servers they report to are still up.

        The lock is kept until this process ends: whoever waits for it finds nothing of the stack any more.
        """
        self._ready = False
        await asyncio.gather(*(keeper.stop() for keeper in self._processes))
        await self._nursery.close()
        await asyncio.gather(*(keeper.stop() for keeper in self._servers))

    def _choose_servers(self) -> None:
        logs = self._folder / "logs"
        if self._settings.database.url is None:
            self._postgres = EmbeddedPostgres(
                self._folder / "postgres",
                log=logs / "postgres.log",
                port=self._settings.database.port,
                inherited=(self._lock.fd,),
            )
            self._servers.append(self._keep(self._postgres))
        if not self._settings.temporal.is_given:
            self._temporal = EmbeddedTemporal(
                log=logs / "temporal.log",
                database=self._folder / "temporal" / "temporal.db",
                port=self._ports.usual_or_free(7233),
                ui_port=self._ports.usual_or_free(8233),
                program=temporal.program_on_path() if self._settings.temporal.system_program else None,
                inherited=(self._lock.fd,),
            )
            self._servers.append(self._keep(self._temporal))

    def _choose_processes(self) -> None:
        base = self._environment()
        self._processes = [self._keep(self._api(base)), *(self._keep(self._worker(q, base)) for q in Queue)]

    def _api(self, base: Mapping[str, str]) -> Part:
        return Program(
            "api",
            ["api"],
            log=self._folder / "logs" / "api.log",
            environment=without_secrets(base, model_keys=True, tool_secrets=True),
            nursery=self._nursery,
            drain_s=self._settings.api.drain_s + _DRAIN_MARGIN_S,
            silence_s=self._silence_s,
            address=f"http://{self._settings.api.host}:{self._api_port}",
        )

    def _worker(self, queue: Queue, base: Mapping[str, str]) -> Part:
        return Program(
            f"worker {queue}",
            ["worker", "--queue", queue],
            log=self._folder / "logs" / f"worker-{queue}.log",
            environment={
                **without_secrets(
                    base, model_keys=queue is not Queue.LLM, tool_secrets=queue is not Queue.TOOLS
                ),
                **self._metrics(queue),
                **self._login(queue),
            },
            nursery=self._nursery,
            drain_s=self._settings.workers.drain_s + _DRAIN_MARGIN_S,
            silence_s=self._silence_s,
        )

    def _login(self, queue: Queue) -> Mapping[str, str]:
        """Modules of tools run in their worker: what it logs in as is what they can be."""
        embedded = self._postgres is not None and queue is Queue.TOOLS
        return {"DATABASE_URL": as_toolbox(self._database_url)} if embedded else {}

    def _metrics(self, queue: Queue) -> Mapping[str, str]:
        port = self._metrics_ports.get(queue)
        return {"HOLDFAST_WORKERS__METRICS_PORT": str(port)} if port else {}

    async def _start_database(self) -> None:
        if self._postgres is not None:
            await self._servers[0].start()
        await self._migrate(self._owner_url)
        if self._postgres is not None:
            await admit_toolbox(self._database_url)

    async def _start_temporal(self) -> None:
        if self._temporal is not None:
            await self._servers[-1].start()

    async def _check_given_temporal(self) -> None:
        """Before anything is started beside it. Whether it has our namespace, the workers find out."""
        if not self._settings.temporal.is_given:
            return
        from holdfast.runtime.temporal import require_given_temporal  # noqa: PLC0415 -- a third of a second

        await require_given_temporal()

    def _environment(self) -> dict[str, str]:
        """Ours, with the addresses of this stack in place of whatever it said about servers we started."""
        kept = {name: value for name, value in os.environ.items() if not self._is_replaced(name)}
        if self._postgres is not None:
            kept["DATABASE_URL"] = self._database_url
        if self._temporal is not None:
            kept |= {"TEMPORAL_ADDRESS": self._temporal.address, "TEMPORAL_CONFIG_FILE": os.devnull}
        return kept | {
            "HOLDFAST_API__PORT": str(self._api_port),
            "HOLDFAST_DATA_DIR": str(self._folder),
            "PYTHONUNBUFFERED": "1",
        }

    def _nursery_environment(self) -> dict[str, str]:
        """It imports, and each process of its own is given what that one may have."""
        bare = without_secrets(os.environ, model_keys=True, tool_secrets=True)
        kept = {name: value for name, value in bare.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return kept | {"PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": "1"}

    def _is_replaced(self, name: str) -> bool:
        if name == "PYTHONDONTWRITEBYTECODE":
            return True  # six processes that compile all they import, at each start, are ready seconds later
        if name == "DATABASE_URL":
            return self._postgres is not None
        if name.upper() == "HOLDFAST_DATABASE__MIGRATE_URL":
            return True  # the owner's, and all that is done with it is done here
        return name.startswith("TEMPORAL_") and self._temporal is not None

    @property
    def _database_url(self) -> str:
        given = self._settings.database.url
        if given is not None:
            return given.get_secret_value()
        return self._postgres.url if self._postgres and self._postgres.is_up else ""

    @property
    def _owner_url(self) -> str:
        owner = self._settings.database.migrate_url
        return owner.get_secret_value() if owner is not None else self._database_url

    @property
    def _temporal_address(self) -> str:
        return self._temporal.address if self._temporal else self._settings.temporal.address or ""

    def _keep(self, part: Part) -> Keeper:
        return Keeper(part, silence_s=self._silence_s, tell=self._tell, changed=self._write)

    def _write(self) -> None:
        state = self.state
        write_state(self._folder, state)
        self._changed(state)


async def _start_all(keepers: Sequence[Keeper]) -> None:
    async with asyncio.TaskGroup() as group:
        for keeper in keepers:
            group.create_task(keeper.start())


def _first(error: BaseException) -> BaseException:
    """The error that a person can act on, out of the group that the others were cancelled with."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
