"""Child processes on a leash: none outlives the process that started it, however that process ends.

The kernel sends the death signal when the *thread* that started the child ends; so children are started from the
main thread's event loop, which lives as long as the process.
"""

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

_PR_SET_PDEATHSIG = 1
_LARGE_LOG_BYTES = 16 * 1024 * 1024
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def tie_to_parent(parent: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to signal this process when `parent` ends, and end now if it has ended already."""
    if _prctl(_PR_SET_PDEATHSIG, death_signal.value) != 0 or os.getppid() != parent:
        os._exit(70)


class Process(Protocol):
    """As far as it matters here, what asyncio says of one."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    async def wait(self) -> int: ...


class Child:
    """One started process: its log is a file, its end can be awaited, and it can be stopped in two steps."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.started_at = time.monotonic()

    @classmethod
    async def start(
        cls,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        pass_fds: Sequence[int] = (),
    ) -> "Child":
        """Start it in a session of its own: Ctrl-C in the terminal reaches us alone, and we decide the order."""
        with open_log(log) as output:
            starting = asyncio.ensure_future(
                asyncio.create_subprocess_exec(
                    *map(str, argv),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                    env=dict(env) if env is not None else None,
                    start_new_session=True,
                    pass_fds=pass_fds,
                    preexec_fn=_leash(death_signal),  # calls one C function that is loaded already
                )
            )
            try:
                return cls(await asyncio.shield(starting))
            except asyncio.CancelledError:
                await cls(await starting).end()
                raise

    async def end(self) -> None:
        """At once, with its whole session: killed alone, a wrapper that is only starting leaves its inside behind."""
        self.kill()
        await self.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> int:
        return await self._process.wait()

    async def wait_or_kill(self) -> int:
        """Wait for a short job; if nobody waits any more, it and its children are not wanted any more."""
        try:
            return await self.wait()
        except asyncio.CancelledError:
            await self.end()
            raise

    async def stop(
        self, *, patience_s: float, first: signal.Signals = signal.SIGTERM, pid: int | None = None
    ) -> int:
        """Ask `pid` (the child itself where it is not given) to end; after `patience_s`, kill."""
        if self.exit_code is None:
            _send(pid or self.pid, first)
        try:
            return await asyncio.wait_for(self.wait(), patience_s)
        except TimeoutError:
            self.kill()
            return await self.wait()

    def kill(self) -> None:
        """Kill the child and whatever it started that has not left its session."""
        if self.exit_code is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return


def open_log(log: Path) -> BinaryIO:
    """To go on writing; what was written is put aside once it is much."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LARGE_LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    return log.open("ab")


def _leash(death_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()
    return lambda: tie_to_parent(parent, death_signal)


def _send(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return


def last_words(log: Path, *, lines: int = 3, since: int = 0) -> str:
    """The end of a log in one line: what an error message shows of a child that did not start."""
    return " | ".join(last_lines(log, since=since)[-lines:])


def last_lines(log: Path, *, since: int = 0) -> list[str]:
    """What was written after the log had this size, as far as it is not long ago."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(since, log.stat().st_size - 8192))
        kept = file.read().decode(errors="replace").splitlines()
    return [line.strip() for line in kept if line.strip()]


def first_line(log: Path, *, beginning: tuple[str, ...], since: int = 0) -> str:
    """The first that begins so, of those written after the log had this size; "" where none does."""
    if not log.exists():
        return ""
    with log.open(errors="replace") as file:
        file.seek(since)
        return next((line.strip() for line in file if line.startswith(beginning)), "")


def size_of(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0
