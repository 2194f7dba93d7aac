"""Control groups, version 1 or 2, for memory, processes and processor time of a whole call.

The parents are prepared once per launcher; a keeper makes one group per call while it still may, and keeps open
descriptors, because it gives up its rights before the tool starts. The launcher removes the group afterwards.
"""

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.adapters.bubblewrap.group_parents import V1_CPU, GroupParents

_MIB = 1024 * 1024


@dataclass
class CallGroup:
    """The group of one call, held by descriptors that stay good after rights are dropped."""

    version: int
    _files: dict[str, int] = field(default_factory=dict)
    _memory_limit: int = 0
    _socket_limit: int = 0

    @classmethod
    def create(cls, parents: GroupParents, name: str) -> "CallGroup":
        for path in parents.paths(name):
            path.mkdir()
        group = cls(version=parents.version)
        places = {controller: directory / name for controller, directory in parents.directories.items()}
        group._open(places)
        return group

    def _open(self, places: dict[str, Path]) -> None:
        memory, pids, cpu = places["memory"], places["pids"], places.get(V1_CPU)
        names = _V1_FILES if self.version == 1 else _V2_FILES
        for key, (controller, file, flags) in names.items():
            place = {"memory": memory, "pids": pids, "cpu": cpu}[controller]
            if place is None:
                continue
            with contextlib.suppress(FileNotFoundError):  # swap accounting and peaks depend on the kernel
                self._files[key] = os.open(place / file, flags | os.O_CLOEXEC)
        if self.version == 2:
            self._write(
                "swap_limit", "0"
            )  # `memory.oom.group` stays off: it would kill the keeper with its tool

    def limit_memory(self, limit: int) -> bool:
        """False when more than that is in use already and cannot be given back."""
        if limit == self._memory_limit:
            return True
        keys = ["memory_limit"] if self.version == 2 else ["memory_limit", "memory_and_swap_limit"]
        if limit > self._memory_limit > 0:
            keys.reverse()  # the kernel wants the limit with swap never below the one without
        try:
            for key in keys:
                self._write(key, str(limit))
        except OSError:
            return False
        self._memory_limit = limit
        return True

    def limit_sockets(self, limit: int) -> None:
        """Where they have a limit of their own. A kernel that finds more in use leaves it as it was."""
        if abs(limit - self._socket_limit) >= _MIB:
            with contextlib.suppress(OSError):
                self._write("socket_limit", str(limit))
            self._socket_limit = limit

    def limit_processes(self, count: int) -> None:
        self._write("pids_limit", str(count))

    def release_memory(self) -> None:
        """The tool is dead: what is left to do is ours, and may take what it needs."""
        for key in ("memory_and_swap_limit", "memory_limit", "socket_limit"):
            self._write(key, "-1" if self.version == 1 else "max")

    def join(self) -> None:
        """Put the calling process, and so everything it will start, into the group.

        This waits for a grace period of the kernel, some eight milliseconds: do it before a call arrives.
        """
        for key in ("memory_join", "pids_join", "cpu_join"):
            self._write(key, "0")

    def memory_used(self) -> int:
        return int(self._read("memory_used") or 0)

    def sockets_used(self) -> int:
        """Version 1 counts what waits in TCP and UDP sockets apart, and not at all until it is limited."""
        return int(self._read("socket_used") or 0)

    def memory_peak(self) -> int:
        return int(self._read("memory_peak") or 0)

    def cpu_seconds(self) -> float | None:
        text = self._read("cpu_used")
        if text is None:
            return None
        if self.version == 1:
            return int(text) / 1e9
        return _value_of(text, "usage_usec") / 1e6

    def oom_kills(self) -> int:
        return _value_of(self._read("memory_events") or "", "oom_kill")

    def processes(self) -> int:
        return int(self._read("pids_used") or 0)

    def _write(self, key: str, text: str) -> None:
        if key in self._files:
            os.pwrite(self._files[key], text.encode(), 0)

    def _read(self, key: str) -> str | None:
        return os.pread(self._files[key], 4096, 0).decode() if key in self._files else None


_R, _W = os.O_RDONLY, os.O_WRONLY
_V1_FILES = {
    "memory_limit": ("memory", "memory.limit_in_bytes", _W),
    "memory_and_swap_limit": ("memory", "memory.memsw.limit_in_bytes", _W),
    "socket_limit": ("memory", "memory.kmem.tcp.limit_in_bytes", _W),
    "memory_used": ("memory", "memory.usage_in_bytes", _R),
    "socket_used": ("memory", "memory.kmem.tcp.usage_in_bytes", _R),
    "memory_peak": ("memory", "memory.max_usage_in_bytes", _R),
    "memory_events": ("memory", "memory.oom_control", _R),
    "memory_join": ("memory", "cgroup.procs", _W),
    "pids_limit": ("pids", "pids.max", _W),
    "pids_used": ("pids", "pids.current", _R),
    "pids_join": ("pids", "cgroup.procs", _W),
    "cpu_used": ("cpu", "cpuacct.usage", _R),
    "cpu_join": ("cpu", "cgroup.procs", _W),
}
_V2_FILES = {
    "memory_limit": ("memory", "memory.max", _W),
    "swap_limit": ("memory", "memory.swap.max", _W),
    "memory_used": ("memory", "memory.current", _R),
    "memory_peak": ("memory", "memory.peak", _R),
    "memory_events": ("memory", "memory.events", _R),
    "memory_join": ("memory", "cgroup.procs", _W),
    "pids_limit": ("pids", "pids.max", _W),
    "pids_used": ("pids", "pids.current", _R),
    "cpu_used": ("cpu", "cpu.stat", _R),
}


def _value_of(text: str, key: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.split()[0] == key), 0)
