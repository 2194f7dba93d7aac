"""What a call uses, and the moment it uses too much. With a control group exact, without one by watching the tree.

The workspace is a tmpfs, so what is written there is memory to the kernel. It is not memory to the tool, which has a
disk limit for it: the group's limit is raised by what the workspace holds, and by no more.
"""

import os
import time
from dataclasses import dataclass
from typing import Any, Protocol

from holdfast.adapters.bubblewrap.buffers import SocketBuffers
from holdfast.adapters.bubblewrap.census import Census
from holdfast.adapters.bubblewrap.cgroups import CallGroup
from holdfast.adapters.bubblewrap.clock import TreeClock, share_of_running
from holdfast.adapters.bubblewrap.tree import Tree
from holdfast.adapters.bubblewrap.uncounted import Uncounted

_MIB = 1024 * 1024
_FASTEST_WRITER = 8 * 1024 * _MIB  # bytes a second; decides how long we may look away
_FASTEST_TAKER = 2 * 1024 * _MIB  # bytes a second on one processor, a page at a time
_MIB_A_PROCESSOR = 128
_SHORTEST_S, _LONGEST_S = 0.001, 0.01
_FULL = 0.995
_AN_ENTRY = 1024

WATCH_PRIORITY = 1
"""Of a watchdog that may have real time, if only just. It sleeps at least as long as it looks."""

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
    entries: int = 0
    free: int = 0

    def used(self) -> int:
        facts = os.fstatvfs(self.directory)
        used = (facts.f_blocks - facts.f_bfree) * facts.f_frsize
        self.entries = facts.f_files - facts.f_ffree
        self.peak, self.inodes = max(self.peak, used), max(self.inodes, self.entries)
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
        self._uncounted: Uncounted | None = None
        group.limit_memory(self._memory + self._own_memory + disk.used())

    def watch(self, first: int) -> None:
        """The group holds the tool from birth; its processor time counts from now."""
        self._cpu_before = self._group.cpu_seconds() or 0.0
        self._uncounted = Uncounted(first)
        self._group.limit_sockets(self._memory)

    def check(self) -> str:
        allowed = self._memory + self._own_memory + self._disk.used()
        if self._group.oom_kills() or not self._group.limit_memory(allowed):
            return "memory"
        used = self._group.memory_used() + self._beside_the_group(allowed)
        self._peak = max(self._peak, used - self._own_memory - self._disk.used())
        if used > allowed or (self._uncounted and self._uncounted.too_many_locks(self._busy_s())):
            return "memory"
        self._slack = max(0, min(allowed - used, self._disk.free))
        self._pids_peak = max(self._pids_peak, self._group.processes() - OWN_PROCESSES)
        return "cpu" if self._cpu_seconds() > self._cpu_s else ""

    def _beside_the_group(self, allowed: int) -> int:
        """What waits in TCP and UDP sockets, which version 1 limits apart: to what is left by all else."""
        waiting = self._group.sockets_used()
        structures = self._uncounted.sockets() if self._uncounted else 0
        self._group.limit_sockets(max(_MIB, allowed - self._group.memory_used() - structures))
        return waiting + structures

    def _cpu_seconds(self) -> float:
        return (self._group.cpu_seconds() or 0.0) - self._cpu_before

    def _busy_s(self) -> float:
        """Where no group counts processor time, all the time there is."""
        return time.monotonic() if self._group.cpu_seconds() is None else self._cpu_seconds()

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
    """Without a group: look at every process of the namespace, the more often the less memory is left. Not exact."""

    def __init__(self, *, disk: Disk, private: Disk, memory_mb: int, cpu_s: float, open_files: int) -> None:
        self._disk, self._private, self._open_files = disk, private, open_files
        self._memory, self._cpu_s = memory_mb * _MIB, cpu_s
        self._tree: Tree | None = None
        self._census: Census | None = None
        self._uncounted: Uncounted | None = None
        self._clock = TreeClock()
        self._pids_peak = 0
        self._kills = 0
        self._left = float(self._memory)
        self._looked = self._thorough = time.monotonic()
        self._took = 0.0
        self._longest_s = min(_LONGEST_S, self._memory / _FASTEST_WRITER)

    def watch(self, first: int) -> None:
        self._tree = Tree(first)
        self._uncounted = Uncounted(first)
        self._census = Census(
            self._tree,
            self._memory,
            files=self._in_files,
            buffers=SocketBuffers(),
            sockets=self._uncounted.sockets,
            open_files=self._open_files,
        )
        self._looked = time.monotonic()

    def check(self) -> str:
        self._disk.used()
        if self._tree is None or self._census is None:
            return ""
        began = time.monotonic()
        seen = self._tree.look()
        self._pids_peak = max(self._pids_peak, len(seen) - 1)
        self._took = time.monotonic() - began
        self._clock.look(seen, since_last=began - self._looked, running_share=self._running_share)
        thorough = began - self._thorough >= self._longest_s
        used = self._census.look(seen, thorough=thorough)
        self._looked, self._thorough = began, began if thorough else self._thorough
        self._left = max(0, self._memory - used)
        if used > self._memory or (self._uncounted and self._uncounted.too_many_locks(self._clock.seconds)):
            self._kills = 1
            return "memory"
        return "cpu" if self._clock.seconds > self._cpu_s else ""

    def _in_files(self) -> int:
        """What stands in the private file systems, and what the kernel keeps of each entry in any of them."""
        return self._private.used() + (self._private.entries + self._disk.entries) * _AN_ENTRY

    def _running_share(self, pid: int) -> float:
        return share_of_running(self._tree.read(pid, "schedstat")) if self._tree else 0.0

    def pause(self) -> float:
        """As long as the rest of the memory lasts on the processors it has, but no shorter than looking takes. Buffers of
        the kernel are filled quicker than pages are taken: they need not be made empty."""
        quickest = _FASTEST_TAKER * processors_for(self._memory // _MIB)
        if self._census and self._census.holds_buffers:
            quickest = _FASTEST_WRITER
        return max(_SHORTEST_S, self._took, min(self._longest_s, self._left / quickest))

    def oom_kills(self) -> int:
        return self._kills

    def usage(self) -> dict[str, Any]:
        return {
            "cpu_s": round(self._clock.seconds, 3),
            "memory_peak_bytes": (self._census.peak if self._census else 0) or None,
            "pids_peak": max(1, self._pids_peak),
        }


def processors_for(memory_mb: int) -> int:
    """How many a tree may run on where a watchdog holds its memory: what all of them can take between two looks must
    stay small beside the limit."""
    return max(1, memory_mb // _MIB_A_PROCESSOR)
