"""Memory of a tree of processes where no control group counts it: a cheap bound at each look, a count where it passes.

Every page that a process makes its own costs it a fault, so memory cannot have grown by more than the faults since it
was last counted. Counting looks through page tables: too slow for every look, quick enough for the few that matter.
"""

import re
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from holdfast.adapters.bubblewrap.buffers import SocketBuffers
from holdfast.adapters.bubblewrap.tree import Key, Seen, Tree

_PAGE = resource.getpagesize()
_A_PROCESS = 128 * 1024  # its stacks and tables in the kernel, beside its page tables
_A_MAPPING = 256  # what the kernel keeps of each, however small it is
_PIPE = 64 * 1024  # as made; growing one is refused here
_PIPES_OF_A_USER = 64 * 1024 * 1024  # beyond it the kernel makes them small
_A_WATCH = 256  # of a descriptor by epoll
_UNSEEN = 2 * 1024 * 1024
_ALONE = 2  # the namespace's first process, and one more
_NOTABLE = 1024 * 1024
_FEW = 8
"""Descriptors of a process in which no pipes worth counting are looked for."""
_WATCHES, _ON_THEIR_WAY = b"\ntfd:", re.compile(rb"^scm_fds: [1-9]", re.MULTILINE)
_PRIVATE = re.compile(rb"^Pss_Anon:\s+(\d+)", re.MULTILINE)
_TABLES = re.compile(rb"^VmPTE:\s+(\d+)", re.MULTILINE)
_SHARED = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ (\S+ \d+) +/dev/zero \(deleted\)$", re.MULTILINE)
_NOTHING = Seen(0, "", b"", 0, 0, 0, 0, 0)


@dataclass
class Census:
    """Is shown the tree again and again. `files` tells what its private file systems hold, `buffers` what waits in its
    sockets, `sockets` what they take themselves."""

    tree: Tree
    limit: int
    files: Callable[[], int]
    buffers: SocketBuffers
    sockets: Callable[[], int]
    open_files: int
    peak: int = 0
    _counted: int = 0
    _then: dict[Key, Seen] = field(default_factory=dict)
    _tables: dict[Key, int] = field(default_factory=dict)
    _newest: int = 0
    _held: int = 0

    def look(self, seen: Sequence[Seen], *, thorough: bool) -> int:
        """At most how much is used; exactly, as far as that goes, where it would be more than the limit."""
        files = self.files()
        if thorough or self.holds_buffers:
            counts = (self.tree.descriptors(one.pid) for one in seen)
            self._held = self._in_sockets() + sum(at_most_behind(count) for count in counts if count > _FEW)
            self._held += self._most_on_their_way() if self.buffers.waits else 0
        pages = self._counted + self._pages_grown(seen)
        bound = pages + self._mappings_grown(seen) + files + self._held
        if bound > self.limit:
            bound = self._count(seen, files, pages)
        else:
            resident = sum(one.resident_pages for one in seen) * _PAGE
            bound = min(bound, max(self._counted, resident) + files + self._held)
        self.peak = max(self.peak, bound)
        return bound

    @property
    def holds_buffers(self) -> bool:
        """Whether the kernel keeps much for the call beside its pages."""
        return self._held > _NOTABLE

    def _pages_grown(self, seen: Sequence[Seen]) -> int:
        """By faults; by the page tables that a fork copies; and by those who came and went between two looks, and may
        have left pages in memory that they shared."""
        new = [one for one in seen if one.key not in self._then]
        for one in new:
            if one.key not in self._tables:
                self._tables[one.key] = _A_PROCESS + self._page_tables(one.pid)
        unseen = max(0, max((one.pid for one in seen), default=0) - self._newest - len(new))
        faults = sum(one.faults - self._then.get(one.key, _NOTHING).faults for one in seen)
        return faults * _PAGE + sum(self._tables.values()) + unseen * _UNSEEN

    def _mappings_grown(self, seen: Sequence[Seen]) -> int:
        """Each page may have a mapping of its own. What one process gives back makes no room for another."""
        return sum(mappings_since(self._then.get(one.key, _NOTHING), one) for one in seen)

    def _count(self, seen: Sequence[Seen], files: int, pages: int) -> int:
        alone = max((self._own_pages(one.pid) for one in seen), default=0) + files
        if alone > self.limit:
            return alone
        if len(seen) <= _ALONE:
            return self._counted_through(seen, pages)
        still, woken = self.tree.stop()
        used = self._counted_through(still, pages)
        if used <= self.limit:  # else they are killed as they stand
            self.tree.go_on(woken)
        return used

    def _counted_through(self, seen: Sequence[Seen], pages: int) -> int:
        """Ends early when the limit is passed. `pages` is the most that can have been touched, shared ones included."""
        files, counted = self.files(), 0
        shared: dict[bytes, int] = {}
        held = self._in_sockets()
        behind = _Behind()
        for one in sorted(seen, key=lambda one: one.faults, reverse=True):
            counted += self._private(one.pid)
            maps = self.tree.read(one.pid, "maps")
            shared |= shared_objects(maps)
            counted += maps.count(b"\n") * _A_MAPPING
            if self.buffers.waits or self.tree.descriptors(one.pid) > _FEW:
                self._look_behind_descriptors(one.pid, behind)
            if counted + held + files + behind.bytes > self.limit:
                break
        self._held = held + behind.bytes + (self._most_on_their_way() if behind.on_their_way else 0)
        self._counted = counted + min(sum(shared.values()), max(0, pages - counted))
        self._then = {one.key: one for one in seen}
        self._tables, self._newest = {}, max((one.pid for one in seen), default=0)
        return self._counted + self._held + files

    def _in_sockets(self) -> int:
        return self.buffers.used() + self.sockets()

    def _most_on_their_way(self) -> int:
        """In pipes whose descriptors wait in a socket, where no process holds them."""
        return min(self.open_files * _PIPE, _PIPES_OF_A_USER)

    def _look_behind_descriptors(self, pid: int, found: "_Behind") -> None:
        for number, target in self.tree.open_files(pid).items():
            if target.startswith("pipe:"):
                found.pipes.add(target)
            elif target == "anon_inode:[eventpoll]":
                found.watches += self.tree.read(pid, f"fdinfo/{number}").count(_WATCHES)
            elif self.buffers.waits and target.startswith("socket:"):
                told = self.tree.read(pid, f"fdinfo/{number}")
                found.on_their_way = found.on_their_way or bool(_ON_THEIR_WAY.search(told))

    def _own_pages(self, pid: int) -> int:
        """Without a wait for any lock."""
        numbers = self.tree.read(pid, "statm").split()
        return (int(numbers[1]) - int(numbers[2])) * _PAGE if numbers else 0

    def _private(self, pid: int) -> int:
        own = _number(_PRIVATE, self.tree.read(pid, "smaps_rollup")) * 1024
        return own + _A_PROCESS + self._page_tables(pid)

    def _page_tables(self, pid: int) -> int:
        return _number(_TABLES, self.tree.read(pid, "status")) * 1024


@dataclass
class _Behind:
    """What the kernel keeps behind the descriptors of processes."""

    pipes: set[str] = field(default_factory=set)
    watches: int = 0
    on_their_way: bool = False

    @property
    def bytes(self) -> int:
        return len(self.pipes) * _PIPE + self.watches * _A_WATCH


def at_most_behind(descriptors: int) -> int:
    """Two of them are a full pipe; or one half watches the other."""
    return descriptors * _PIPE // 2 + (descriptors // 2) ** 2 * _A_WATCH


def mappings_since(then: Seen, now: Seen) -> int:
    """What the kernel keeps of as many mappings as can have been made."""
    return max(0, now.mapped_bytes - then.mapped_bytes) * _A_MAPPING // _PAGE


def shared_objects(maps: bytes) -> dict[bytes, int]:
    """Shared memory without a file, by its identity, at full size: pages stay in it that nobody has mapped."""
    found: dict[bytes, int] = {}
    for start, end, identity in _SHARED.findall(maps):
        found[identity] = found.get(identity, 0) + int(end, 16) - int(start, 16)
    return found


def _number(pattern: re.Pattern[bytes], text: bytes) -> int:
    match = pattern.search(text)
    return int(match[1]) if match else 0
