"""A world around the sandbox: a secret that must not leak, a server that counts, a host file, an abstract socket."""

import asyncio
import contextlib
import http.server
import os
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from holdfast.adapters.bubblewrap.identity import identity_for
from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.adapters.bubblewrap.store import workspace_name


class _Counting(http.server.BaseHTTPRequestHandler):
    """Writes down every request that reaches it."""

    server: "_Server"

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest")
            self._say(b"")
            return
        self.send_response(200)
        self._say(b"seen " + (self.headers["Host"].encode() if self.path == "/echo-host" else b""))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def _say(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Counting)
        self.seen: list[str] = []


@dataclass
class World:
    """What stands outside, for programs to aim at and for tests to look at."""

    server: _Server
    host_file: Path
    token: str
    abstract: socket.socket
    replacements: dict[str, str] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        for place, value in self.replacements.items():
            text = text.replace(place, value)
        return text

    def knocked(self) -> bool:
        """Whether somebody connected to the abstract socket."""
        with contextlib.suppress(BlockingIOError):
            self.abstract.accept()[0].close()
            return True
        return False


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server, token = _Server(), f"token-{uuid.uuid4().hex}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    directory = tmp_path_factory.mktemp("host")
    host_file = directory / "secret.txt"
    host_file.write_text(token)
    host_file.chmod(0o644)
    os.environ["A_SECRET_OF_THE_HOST"] = token
    abstract = socket.socket(socket.AF_UNIX)
    name = f"holdfast-{uuid.uuid4().hex}"
    abstract.bind(f"\0{name}")
    abstract.listen()
    abstract.setblocking(False)
    yield World(
        server,
        host_file,
        token,
        abstract,
        {
            "{port}": str(server.server_port),
            "{host_file}": str(host_file),
            "{abstract}": name,
            "{worker_pid}": str(os.getpid()),
            "{token}": token,
        },
    )
    del os.environ["A_SECRET_OF_THE_HOST"]
    abstract.close()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BubblewrapSandbox]:
    backend = BubblewrapSandbox(store=tmp_path_factory.mktemp("store"))
    yield backend
    await backend.close()


async def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Wait for what nobody announces: the kernel's table of processes."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return condition()


def alive(run: str) -> list[int]:
    """Processes of a run's own uid, whatever they call themselves. Only root's runs have one."""
    identity = identity_for(workspace_name(run))
    if not identity.own:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            status = (entry / "status").read_text()
            if int(entry.name) and f"\nUid:\t{identity.uid}\t" in status and "State:\tZ" not in status:
                found.append(int(entry.name))
    return found
