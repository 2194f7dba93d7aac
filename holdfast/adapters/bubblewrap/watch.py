"""The watch over one running tool: outputs, limits, and an end after which nothing of the call is alive."""

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from holdfast.adapters.bubblewrap import kernel
from holdfast.adapters.bubblewrap.meter import Meter
from holdfast.adapters.bubblewrap.start import Started, let_the_watch_come_first, limit_tool
from holdfast.adapters.bubblewrap.tree import children_of
from holdfast.sandbox.bounded import BoundedOutput

_SETUP_S = 30.0
_GRACE_S = 0.2
_STATUS_S = 0.3
_KILLED_S = 10.0
_FLOOD_FACTOR = 64
_CHUNK = 1 << 17
_DRAIN_BYTES = 1 << 20


class _Phase(Enum):
    """Where the call is; each phase has its own deadline."""

    SETUP = auto()
    RUNNING = auto()
    GRACE = auto()
    ENDING = auto()
    KILLED = auto()


@dataclass
class Ending:
    """How the tool came to its end."""

    started: bool = False
    stopped_by: str = ""
    exit_code: int | None = None
    signal: int | None = None
    wall_s: float = 0.0

    @property
    def failed(self) -> bool:
        return bool(self.exit_code) or self.signal is not None


class Watch:
    """An event loop for one call, on plain `poll`: nothing here may be delayed by another call."""

    def __init__(
        self, *, process: Started, limits: dict[str, Any], grouped: bool, meter: Meter, worker: socket.socket
    ) -> None:
        self.meter = meter
        self.out = BoundedOutput(limits["output_kb"] * 1024)
        self.err = BoundedOutput(limits["output_kb"] * 1024)
        self._process, self._limits, self._worker = process, limits, worker
        self._grouped = grouped
        self._flood = limits["output_kb"] * 1024 * _FLOOD_FACTOR
        self._ending = Ending()
        self._phase = _Phase.SETUP
        self._began = time.monotonic()
        self._deadline = self._began + _SETUP_S
        self._status = b""
        self._status_code: int | None = None
        self._first_pid = self._first = self._tool_pid = self._tool = -1
        self._monitor = os.pidfd_open(process.pid)
        self._gone = False
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}

    def until_nothing_lives(self) -> Ending:
        self._on(self._process.out, lambda: self._read(self._process.out, self.out))
        self._on(self._process.err, lambda: self._read(self._process.err, self.err))
        self._on(self._process.status, self._read_status)
        self._on(self._process.ready, self._take_hold)
        self._on(self._worker.fileno(), self._worker_spoke)
        self._on(self._monitor, self._monitor_ended)
        looked = 0.0
        while not self._gone:
            now, pause = time.monotonic(), self.meter.pause()
            if now - looked >= pause:
                looked = now
                self._look(now)
            wait = max(0.0, min(looked + pause, self._deadline) - time.monotonic())
            for descriptor, _ in self._poll.poll(int(wait * 1000) + 1):
                if descriptor in self._handlers:
                    self._handlers[descriptor]()
        if not self._grouped:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # what is left to do is not urgent
        self._drain()
        self._settle()
        return self._ending

    def _on(self, descriptor: int, handler: Callable[[], None]) -> None:
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, select.POLLIN)

    def _off(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def _look(self, now: float) -> None:
        if self._phase in (_Phase.RUNNING, _Phase.GRACE) and (reason := self.meter.check()):
            self._stop(reason)
        elif now >= self._deadline:
            self._late(now)

    def _late(self, now: float) -> None:
        """TERM, grace, KILL. A tool that has stopped itself notices only the last of them."""
        if self._phase is _Phase.SETUP:
            self._stop("setup")
        elif self._phase is _Phase.RUNNING:
            self._ending.stopped_by = "wall"
            self._phase, self._deadline = _Phase.GRACE, now + _GRACE_S
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(
                    os.getpgid(self._tool_pid), signal.SIGTERM
                )  # whose leader is the first process at first
        elif self._phase is _Phase.KILLED:
            self._gone = (
                True  # the kernel cannot end it, for instance in a hung file system; the launcher says so
            )
        else:
            self._kill()

    def _stop(self, reason: str) -> None:
        self._ending.stopped_by = self._ending.stopped_by or reason
        self._kill()

    def _kill(self) -> None:
        """The namespace's first process takes everything with it, whatever sessions and stops the tool tried."""
        if self._phase is not _Phase.KILLED:
            self._phase, self._deadline = _Phase.KILLED, time.monotonic() + _KILLED_S
        for descriptor in (self._first, self._monitor):
            if descriptor >= 0:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)

    def _read(self, descriptor: int, output: BoundedOutput) -> None:
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            self._off(descriptor)
            return
        output.take(chunk)
        if output.total > self._flood and self._phase is not _Phase.KILLED:
            self._stop("output")

    def _read_status(self) -> None:
        chunk = os.read(self._process.status, 4096)
        if not chunk:
            self._off(self._process.status)
        self._status += chunk
        for document in _documents(self._status):
            if "child-pid" in document and self._first < 0:
                self._first_pid = int(document["child-pid"])
                with contextlib.suppress(ProcessLookupError):
                    self._first = os.pidfd_open(self._first_pid)
            if "exit-code" in document:
                self._status_code = int(document["exit-code"])

    def _take_hold(self) -> None:
        """The tool's own process exists and waits. Hold it by a descriptor, then let it go."""
        self._off(self._process.ready)
        if not os.read(self._process.ready, 1):
            return
        if self._first < 0:
            self._read_status()
        children = children_of(self._first_pid)
        if len(children) != 1:
            self._stop("setup")
            return
        self._tool_pid = children[0]
        self._tool = os.pidfd_open(self._tool_pid)
        self._on(self._tool, self._tool_ended)
        self.meter.watch(self._first_pid)
        limit_tool(self._tool_pid, self._limits, grouped=self._grouped)
        if not self._grouped:
            let_the_watch_come_first(self._tool_pid, self._limits["memory_mb"])
        self._ending.started = True
        self._began = time.monotonic()
        self._phase, self._deadline = _Phase.RUNNING, self._began + self._limits["wall_s"]
        os.write(self._process.go, b"\n")

    def _worker_spoke(self) -> None:
        """A word from the worker is a cancellation, and so is its silence."""
        self._off(self._worker.fileno())
        self._stop("cancelled")

    def _tool_ended(self) -> None:
        """Completion is this process's exit, never the end of a pipe that a background child may hold."""
        self._off(self._tool)
        self._ending.wall_s = time.monotonic() - self._began
        if self.meter.check() == "cpu":
            self._ending.stopped_by = self._ending.stopped_by or "cpu"
        if self._phase is not _Phase.KILLED:  # the monitor tells the status and ends by itself, in a moment
            self._phase, self._deadline = _Phase.ENDING, time.monotonic() + _STATUS_S

    def _monitor_ended(self) -> None:
        self._off(self._monitor)
        self._kill()
        if self._first >= 0:  # it ends only after everything in its namespace has
            self._on(self._first, self._everything_ended)
        else:
            self._gone = True

    def _everything_ended(self) -> None:
        self._off(self._first)
        self._gone = True

    def _drain(self) -> None:
        """What the tool wrote before it ended is in the pipes; nobody is left to write more."""
        for descriptor, output in ((self._process.out, self.out), (self._process.err, self.err)):
            os.set_blocking(descriptor, False)
            left = _DRAIN_BYTES
            with contextlib.suppress(BlockingIOError):
                while left > 0 and (chunk := os.read(descriptor, _CHUNK)):
                    output.take(chunk)
                    left -= len(chunk)

    def _settle(self) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._process.pid, os.WNOHANG)
        ending = self._ending
        ending.wall_s = ending.wall_s or time.monotonic() - self._began
        status = kernel.exit_status_of(self._tool) if self._tool >= 0 else None
        if status is None:
            status = self._status_from_monitor()
        if status is not None and os.WIFSIGNALED(status):
            ending.signal = os.WTERMSIG(status)
        elif status is not None:
            ending.exit_code = os.WEXITSTATUS(status)

    def _status_from_monitor(self) -> int | None:
        """Before Linux 6.15 only bubblewrap's word is left, where exit 137 and signal 9 look the same."""
        if self._status_code is None:
            return None
        if 128 < self._status_code < 128 + signal.NSIG:
            return self._status_code - 128
        return self._status_code << 8


def _documents(text: bytes) -> Iterator[dict[str, Any]]:
    """bubblewrap writes one JSON object after another, the first over several lines."""
    decoder, rest = json.JSONDecoder(), text.decode().lstrip()
    while rest:
        try:
            document, end = decoder.raw_decode(rest)
        except ValueError:
            return
        yield document
        rest = rest[end:].lstrip()
