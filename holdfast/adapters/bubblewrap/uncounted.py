"""What the kernel keeps for a call and counts for nobody, whatever control groups there are: file locks, and the sockets
of connections that nobody has accepted yet."""

import contextlib
import os

MOST_LOCKS = 16_384
"""Of byte ranges of files, for a whole call. Honest programs hold a handful; the kernel sets no limit."""

_A_SOCKET = 4096  # its structure, and the page that it has reserved
_BLOCK = 1 << 16
_OF_AN_OPEN_FILE = b": OFDLCK "
_BUSY_S = 0.05
"""A look at the locks waits some ten milliseconds until nobody on this machine is taking one. A call takes a microsecond for
each: fifty thousand of them between two looks, which are nine megabytes."""


class Uncounted:
    """Looks through the /proc of a call's first process, and at the network namespace of whoever asks."""

    def __init__(self, first: int) -> None:
        self._locks = _opened(f"/proc/{first}/root/proc/locks")
        self._sockets = _opened("/proc/self/net/sockstat")
        self._looked_s = 0.0

    def too_many_locks(self, busy_s: float) -> bool:
        """Whether they are, as far as that was looked for: `busy_s` is how long the call has worked.

        Those of dead processes are not told, and no process can leave any; those of open files are told here whoever holds
        them on this machine, and no call can take one: see the system call filter.
        """
        if busy_s - self._looked_s < _BUSY_S:
            return False
        self._looked_s = busy_s
        at, lines = 0, 0
        while lines <= MOST_LOCKS and (block := _read(self._locks, at)):
            at, lines = at + len(block), lines + block.count(b"\n") - block.count(_OF_AN_OPEN_FILE)
        return lines > MOST_LOCKS

    def sockets(self) -> int:
        """Bytes, at most, that all sockets take beside what waits in them."""
        words = _read(self._sockets, 0).split(maxsplit=3)
        return int(words[2]) * _A_SOCKET if len(words) > 2 else 0


def _opened(path: str) -> int:
    """No descriptor where the kernel has no such file."""
    with contextlib.suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return -1


def _read(descriptor: int, at: int) -> bytes:
    if descriptor < 0:
        return b""
    try:
        return os.pread(descriptor, _BLOCK, at)
    except OSError:
        return b""
