"""Runs `holdfast` as a process of its own, without paying for its imports each time: one process has imported it all,
and forks for every command. What a command may do to its environment, its folder or its exit code, it does there."""

import asyncio
import contextlib
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from tests.api.conftest import RunningApi

_PATIENCE_S = 40


@dataclass
class Outcome:
    code: int
    out: str
    err: str


async def holdfast(
    api: RunningApi,
    *words: str,
    key: str | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
    given: str = "",
) -> Outcome:
    """One command against this API, from its first word to its exit code."""
    known = {"HOLDFAST_API_URL": api.url, "HOLDFAST_API_KEY": key or api.key, "PATH": "/usr/bin:/bin"}
    asked = {
        "words": words,
        "given": given,
        "environment": {**known, **environment},
        "folder": str(folder or Path.cwd()),
    }
    place, _ = await asyncio.to_thread(_foundry)
    reader, writer = await asyncio.open_unix_connection(str(place), limit=2**26)
    try:
        writer.write(json.dumps(asked).encode() + b"\n")
        return Outcome(**json.loads(await asyncio.wait_for(reader.readline(), _PATIENCE_S)))
    finally:
        writer.close()


@cache
def _foundry() -> tuple[Path, "subprocess.Popen[bytes]"]:
    """The socket of the process that forks, and the process: it ends when nobody holds its standard input any more."""
    place = Path(tempfile.mkdtemp(prefix="holdfast-commands-")) / "socket"
    process = subprocess.Popen([sys.executable, __file__, str(place)], stdin=subprocess.PIPE)
    deadline = time.monotonic() + _PATIENCE_S
    while not place.exists():
        assert process.poll() is None, "the process that runs commands did not start"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return place, process


def _serve(place: str) -> NoReturn:
    """Until whoever started this is gone."""
    _end_with_parent(Path(place).parent)
    _import_everything()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{place}.new")
    listener.listen(64)
    Path(f"{place}.new").rename(place)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            _answer(connection)
        connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _end_with_parent(folder: Path) -> None:
    """Standard input ends when the test session does, however that ended."""
    watcher = os.getpid()
    if os.fork() == 0:
        os.read(0, 1)
        with contextlib.suppress(ProcessLookupError):
            os.kill(watcher, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


def _import_everything() -> None:
    from holdfast.cli.main import COMMANDS  # noqa: PLC0415 -- this process alone imports it

    for entry in COMMANDS.values():
        if entry.exists:
            importlib.import_module(entry.place.partition(":")[0])
    for name in ("holdfast.cli.watching", "asyncio", "httpx", "httpcore", "anyio._backends._asyncio"):
        importlib.import_module(name)


def _answer(connection: socket.socket) -> NoReturn:
    asked = json.loads(connection.makefile("rb").readline())
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        given.write(asked["given"].encode())
        given.seek(0)
        command = os.fork()
        if command == 0:
            _become(asked, (given.fileno(), out.fileno(), err.fileno()))
        code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        out.seek(0)
        err.seek(0)
        said = {"code": code, "out": out.read().decode(), "err": err.read().decode()}
    connection.sendall(json.dumps(said).encode() + b"\n")
    os._exit(0)


def _become(asked: dict[str, Any], streams: tuple[int, int, int]) -> NoReturn:
    from holdfast.cli.main import main  # noqa: PLC0415

    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    sys.argv = ["holdfast", *asked["words"]]
    main()


if __name__ == "__main__":
    _serve(sys.argv[1])
