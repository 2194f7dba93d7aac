"""A stack whose API and workers are stand-ins, so that a test is about the supervisor alone and starts in a second."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 40.0

_STANDS_IN = {
    "workers/__init__.py": "",
    "workers/main.py": """
import asyncio, os, signal
from pathlib import Path
from holdfast.runtime.readiness import tell_ready

async def run(settings, *, queues):
    if Path("no-disk").exists():
        raise SystemExit("error: the disk is away")
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    name = "-".join(queues) or "api"
    Path(name + ".environment").write_text(chr(10).join(f"{name}={value}" for name, value in sorted(os.environ.items())))
    tell_ready()
    await asked.wait()
    Path(name + ".drained").touch()
""",
    "api/__init__.py": "",
    "api/main.py": "from workers.main import run as _run\nasync def run(settings): await _run(settings, queues=())\n",
    "api/access.py": """
from pathlib import Path
from types import SimpleNamespace
from holdfast.errors import Conflict

async def first_key(database, *, tenant, replace):
    if not replace and Path("others-have-a-key").exists():
        raise Conflict("There is a key.")
    return SimpleNamespace(token="hf_of_the_first_start")
""",
}


class Stack:
    """`holdfast` commands in a folder of their own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = environment
        for name, text in _STANDS_IN.items():
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_text(text)

    @property
    def state(self) -> dict[str, Any]:
        """What the last supervisor wrote, even if it is gone."""
        found: dict[str, Any] = json.loads((self.folder / ".holdfast/state.json").read_text())
        return found

    @property
    def pids(self) -> dict[str, int]:
        return {part["name"]: part["pid"] for part in self.state["parts"]}

    async def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """One command to its end; its exit code and all it said."""
        process = await self._start(arguments, environment)
        said, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        return process.returncode or 0, said.decode()

    @asynccontextmanager
    async def up(self) -> AsyncIterator["Up"]:
        running = await self.begin()
        try:
            await running.says("stack: ready")
            yield running
        finally:
            await running.end(signal.SIGTERM)

    async def begin(self) -> "Up":
        return Up(await self._start(["up"], {}))

    async def _start(
        self, arguments: list[str] | tuple[str, ...], environment: Mapping[str, str]
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "holdfast", *arguments),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder), **self.environment, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


class Up:
    """A `holdfast up` under way."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""
        self._heard = 0

    async def says(self, words: str) -> None:
        """Wait for these words, after the ones waited for before."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while words not in self.said[self._heard :]:
                line = await self.process.stdout.readline()
                assert line, f"it ended without saying {words!r}: {self.said}"
                self.said += line.decode()
            self._heard = self.said.index(words, self._heard) + len(words)

    async def says_all(self, *words: str) -> None:
        """Wait for each of these, in any order, after what was waited for before."""
        begun = self._heard
        for each in words:
            self._heard = begun
            await self.says(each)
        self._heard = len(self.said)

    async def end(self, how: signal.Signals) -> int:
        if self.process.returncode is None:
            self.process.send_signal(how)
        said, _ = await asyncio.wait_for(self.process.communicate(), PATIENCE_S)
        self.said += said.decode()
        return self.process.returncode or 0


def nursery_of(pid: int) -> int:
    """The process that forked this one."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 -- what we wait for is another process
            await asyncio.sleep(0.02)


def names_of(folder: Path, ending: str) -> set[str]:
    return {file.stem for file in folder.glob(f"*{ending}")}


def innermost(pid: int) -> int:
    """The process itself where others stand around it: root's Postgres is a child of its namespaces' maker."""
    inside = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    is_wrapper = b"bwrap" in Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    return int(inside[0]) if is_wrapper else pid


def processes_in(folder: Path) -> list[str]:
    """Command lines of live processes that work in or on the folder; zombies have none."""
    return [line for line in map(_command_line, Path("/proc").glob("[0-9]*")) if str(folder) in line]


def _command_line(process: Path) -> str:
    try:
        folder = (process / "cwd").readlink()
        line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
    return f"{folder} $ {line}" if line else ""
