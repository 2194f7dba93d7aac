"""The processes of one sandbox, seen through its own /proc: one listing names them all, one read tells of each.

Walking from parents to children would miss who has just lost a parent, and costs several reads for each.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

Key = tuple[int, str]
"""A process number and when it began: numbers are used again."""

_BLOCK = 1 << 16
_STILL = (b"T", b"Z", b"X")
_ROUNDS = 8


@dataclass(frozen=True)
class Seen:
    """One process at one look. Times are in ticks; `faults` counts the pages that it and those it waited for took."""

    pid: int
    began: str
    state: bytes
    faults: int
    own_ticks: int
    waited_ticks: int
    mapped_bytes: int
    resident_pages: int

    @property
    def key(self) -> Key:
        return self.pid, self.began

    @property
    def running(self) -> bool:
        return self.state == b"R"

    @property
    def ticks(self) -> int:
        return self.own_ticks + self.waited_ticks


class Tree:
    """Everything in the namespace of which `first`, a number on the host, is the first process."""

    def __init__(self, first: int) -> None:
        self._first = f"/proc/{first}"
        self._inside = os.open(f"/proc/{first}/root/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def look(self) -> list[Seen]:
        names = os.listdir(self._inside)  # noqa: PTH208 - a descriptor, not a path
        pids = [1, *(int(name) for name in names if name.isdigit() and name != "1")]
        return [seen for pid in pids if (seen := parsed(pid, self.read(pid, "stat")))]

    def read(self, pid: int, file: str) -> bytes:
        """A file of a process by its number inside; empty when it has gone. The first one hides inside."""
        path = f"{self._first}/{file}" if pid == 1 else f"{pid}/{file}"
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._inside)
            try:
                return b"".join(_blocks(descriptor))
            finally:
                os.close(descriptor)
        return b""

    def stop(self) -> tuple[list[Seen], set[int]]:
        """All but the first stand still from now on: they take nothing more, and give up the locks that they hold.

        What was seen of them, and whom `go_on` may wake: those that had stopped themselves stay so.
        """
        everybody, woken = self.look(), set[int]()
        for _ in range(_ROUNDS):  # who is stopped cannot fork, so that each round finds fewer
            running = {seen.pid for seen in everybody if seen.pid != 1 and seen.state not in _STILL} - woken
            if not running:
                break
            for pid in running:
                self._signal(pid, signal.SIGSTOP)
            woken |= running
            everybody = self.look()
        return everybody, woken

    def go_on(self, woken: set[int]) -> None:
        for pid in woken:
            self._signal(pid, signal.SIGCONT)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(OSError):
            process = os.open(str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._inside)
            try:
                signal.pidfd_send_signal(process, number)
            finally:
                os.close(process)

    def descriptors(self, pid: int) -> int:
        """How many a process holds. Nothing before Linux 6.2."""
        with contextlib.suppress(OSError):
            return os.stat(f"{pid}/fd", dir_fd=self._inside).st_size if pid != 1 else 0
        return 0

    def open_files(self, pid: int) -> dict[str, str]:
        """What a process holds, by the numbers of its descriptors."""
        found = {}
        with contextlib.suppress(OSError):
            descriptor = os.open(
                f"{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._inside
            )
            try:
                for number in os.listdir(descriptor):  # noqa: PTH208
                    with contextlib.suppress(OSError):
                        found[number] = os.readlink(number, dir_fd=descriptor)
            finally:
                os.close(descriptor)
        return found


def _blocks(descriptor: int) -> Iterator[bytes]:
    while block := os.read(descriptor, _BLOCK):
        yield block


def parsed(pid: int, text: bytes) -> Seen | None:
    fields = text.rpartition(b")")[2].split()
    if not fields:
        return None
    own, waited = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return Seen(
        pid=pid,
        began=fields[19].decode(),
        state=fields[0],
        faults=sum(map(int, fields[7:11])),
        own_ticks=own,
        waited_ticks=waited,
        mapped_bytes=int(fields[20]),
        resident_pages=int(fields[21]),
    )


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - hot
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:  # noqa: PTH123
                found += [int(number) for number in file.read().split()]
    return found
