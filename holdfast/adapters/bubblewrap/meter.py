"""What a call uses, and the moment it uses too much. With a control group exact, without one by watching the tree.

The workspace is a tmpfs, so what is written there is memory to the kernel. It is not memory to the tool, which has a
disk limit for it: the group's limit is raised by what the workspace holds, and by no more.
"""

import contextlib
import functools
import os
from dataclasses import dataclass
from typing import Any, Protocol

from holdfast.adapters.bubblewrap.cgroups import CallGroup
from holdfast.adapters.bubblewrap.clock import TreeClock

_MIB = 1024 * 1024
_FASTEST_WRITER = 8 * 1024 * _MIB  # bytes a second; decides how long we may look away
_FULL = 0.995

OWN_PROCESSES = 3
"""The keeper, bubblewrap's monitor and the namespace's first process are counted with the tool's."""


class Meter(Protocol):
    """Looks at a running call. `check` names the limit that was passed, or nothing."""

    def watch(self, first: int) -> None:
        """The tool is about to start; `first` is its namespace's first process, by its number on the host."""
        ...

    def check(self) -> str: ...
    def pause(self) -> float:
        """Seconds until the next look."""
        ...

    def oom_kills(self) -> int: ...
    def usage(self) -> dict[str, Any]: ...


@dataclass
class Disk:
    """How full the workspace is, and whether it ever was."""

    directory: int
    full: bool = False
    peak: int = 0
    inodes: int = 0
    free: int = 0

    def used(self) -> int:
        facts = os.fstatvfs(self.directory)
        used = (facts.f_blocks - facts.f_bfree) * facts.f_frsize
        entries = facts.f_files - facts.f_ffree
        self.peak, self.inodes = max(self.peak, used), max(self.inodes, entries)
        self.free = facts.f_bfree * facts.f_frsize
        self.full = self.full or facts.f_bfree <= facts.f_blocks * (1 - _FULL) or facts.f_ffree == 0
        return used


class GroupMeter:
    """The kernel holds memory and processes; we credit the workspace and count processor time.

    The keeper is in the group too, so that what it starts is there from birth: its own use is taken off.
    """

    def __init__(self, *, group: CallGroup, disk: Disk, memory_mb: int, cpu_s: float) -> None:
        self._group, self._disk = group, disk
        self._memory, self._cpu_s = memory_mb * _MIB, cpu_s
        self._slack = float(self._memory)
        self._pids_peak = 0
        self._peak = 0
        self._cpu_before = group.cpu_seconds() or 0.0
        self._own_memory = max(0, group.memory_used() - disk.used())
        group.limit_memory(self._memory + self._own_memory + disk.used())

    def watch(self, first: int) -> None:  # noqa: ARG002 - the other meter needs it
        """The group holds the tool from birth; its processor time counts from now."""
        self._cpu_before = self._group.cpu_seconds() or 0.0

    def check(self) -> str:
        allowed = self._memory + self._own_memory + self._disk.used()
        if self._group.oom_kills() or not self._group.limit_memory(allowed):
            return "memory"
        used = self._group.memory_used()
        self._peak = max(self._peak, used - self._own_memory - self._disk.used())
        if used > allowed:  # what waits in sockets is limited apart
            return "memory"
        self._slack = max(0, min(allowed - used, self._disk.free))
        self._pids_peak = max(self._pids_peak, self._group.processes() - OWN_PROCESSES)
        return "cpu" if self._cpu_seconds() > self._cpu_s else ""

    def _cpu_seconds(self) -> float:
        return (self._group.cpu_seconds() or 0.0) - self._cpu_before

    def pause(self) -> float:
        return min(0.05, max(0.004, self._slack / _FASTEST_WRITER))

    def oom_kills(self) -> int:
        return self._group.oom_kills()

    def usage(self) -> dict[str, Any]:
        return {
            "cpu_s": round(self._cpu_seconds(), 4),
            "memory_peak_bytes": max(
                self._peak, self._group.memory_peak() - self._own_memory - self._disk.peak
            ),
            "pids_peak": max(1, self._pids_peak),
        }


class TreeMeter:
    """Without a group: walk the tree from the namespace's first process, every ten milliseconds. Not exact."""

    def __init__(self, *, disk: Disk, private: Disk, memory_mb: int, cpu_s: float) -> None:
        self._disk, self._private = disk, private
        self._memory, self._cpu_s = memory_mb * _MIB, cpu_s
        self._first: int | None = None
        self._peak = 0
        self._clock = TreeClock()
        self._pids_peak = 0
        self._kills = 0
        self._slack = float(self._memory)

    def watch(self, first: int) -> None:
        self._first = first

    def check(self) -> str:
        self._disk.used()
        if self._first is None:
            return ""
        tree = _tree(self._first)
        self._pids_peak = max(self._pids_peak, len(tree) - 1)
        self._clock.look(tree)
        used = self._private.used() + sum(_resident(pid) for pid in tree)
        if used > self._memory:  # pages shared after a fork were counted once per process: look closer
            used = self._private.used() + sum(_proportional(pid) for pid in tree)
        if used > self._memory:  # mapped files of the workspace are none, those of /tmp were counted twice
            used = self._private.used() + sum(_without_files(pid) for pid in tree)
        self._peak = max(self._peak, used)
        self._slack = max(0, self._memory - used)
        if used > self._memory:
            self._kills = 1
            return "memory"
        return "cpu" if self._clock.seconds > self._cpu_s else ""

    def pause(self) -> float:
        return min(0.01, max(0.002, self._slack / _FASTEST_WRITER))

    def oom_kills(self) -> int:
        return self._kills

    def usage(self) -> dict[str, Any]:
        return {
            "cpu_s": round(self._clock.seconds, 3),
            "memory_peak_bytes": self._peak or None,
            "pids_peak": max(1, self._pids_peak),
        }


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - hot
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:  # noqa: PTH123
                found += [int(number) for number in file.read().split()]
    return found


def _tree(first: int) -> list[int]:
    tree = [first]
    for pid in tree:  # grows while we walk
        tree += children_of(pid)
    return tree


def _lines(path: str, names: tuple[str, ...]) -> int:
    """The sum of some `Name: 123 kB` lines, in bytes; nothing for a process that has gone."""
    total = 0
    with contextlib.suppress(OSError), open(path) as file:  # noqa: PTH123 - read thousands of times
        for line in file:
            if line.startswith(names):
                total += int(line.split()[1]) * 1024
    return total


def _resident(pid: int) -> int:
    return _lines(f"/proc/{pid}/status", ("RssAnon:", "RssShmem:"))


def _proportional(pid: int) -> int:
    return _lines(f"/proc/{pid}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))


def _without_files(pid: int) -> int:
    """Bytes of this process's share that belong to no file with a place: its own, and shared without one."""
    total, counted = 0, ""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps") as file:  # noqa: PTH123
        for line in file:
            words = line.split(maxsplit=5)
            if "-" in words[0]:
                placeless = words[4] == "0" or words[3] == _placeless_device()
                counted = "Pss:" if placeless else "Anonymous:"
            elif words[0] == counted:
                total += int(words[1]) * 1024
    return total


@functools.cache
def _placeless_device() -> str:
    """Where shared memory without a file lives, as `smaps` writes it."""
    descriptor = os.memfd_create("probe", os.MFD_CLOEXEC)
    number = os.fstat(descriptor).st_dev
    os.close(descriptor)
    return f"{os.major(number):02x}:{os.minor(number):02x}"
