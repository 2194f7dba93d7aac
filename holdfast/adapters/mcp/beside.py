"""An MCP server that runs beside the worker, outside any sandbox, because its operator said so."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

_GRACE_S = 2.0
_CHUNK = 64 * 1024
_TIED = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Becomes the server, and dies with the worker: one that is killed can end nobody."""

_PASSED_ON = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "USER")


@asynccontextmanager
async def started(command: Sequence[str]) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Its output and input. With the block it is asked to end, and then made to, with everything it started."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if shutil.which(command[0], path=environment.get("PATH")) is None:
        raise FileNotFoundError(f"there is no program {command[0]}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _TIED, str(os.getpid()), *command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
        limit=_CHUNK,
    )
    reader, writer = process.stdout, process.stdin
    if reader is None or writer is None:
        raise OSError("the process has no pipes")
    try:
        yield reader, writer
    finally:
        await asyncio.shield(asyncio.ensure_future(_end(process, reader, writer)))


async def _end(
    process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """First its input is closed, which tells a server to go; then come the signals. What it still says is thrown away: a
    process whose output nobody takes cannot end."""
    writer.close()
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number is not None:
            _signal(process, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                while await reader.read(_CHUNK):
                    continue
                await process.wait()
                break
    _signal(process, signal.SIGKILL)  # what it started and left behind


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
