"""Memory without a control group: what is bounded, what is counted, and what belongs to no process."""

import fcntl
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

from holdfast.adapters.bubblewrap.census import mappings_since, shared_objects
from holdfast.adapters.bubblewrap.tree import Seen, parsed
from holdfast.adapters.bubblewrap.uncounted import MOST_LOCKS, Uncounted

_MAPS = b"""\
7f0000000000-7f0000400000 rw-s 00000000 00:01 77                         /dev/zero (deleted)
7f0000400000-7f0000500000 rw-s 00400000 00:01 77                         /dev/zero (deleted)
7f0000600000-7f0000700000 rw-s 00000000 00:01 78                         /dev/zero (deleted)
7f0000800000-7f0000900000 rw-p 00000000 00:00 0                          [heap]
7f0000a00000-7f0000b00000 rw-s 00000000 00:2a 9                          /tmp/dev/zero (deleted)
"""


def test_shared_memory_without_a_file_counts_once_and_in_full() -> None:
    assert shared_objects(_MAPS) == {b"00:01 77": 5 << 20, b"00:01 78": 1 << 20}


def test_a_process_is_read_whatever_it_calls_itself() -> None:
    text = Path("/proc/self/stat").read_bytes()
    name = b"7 (a) R 1 (b)"
    seen = parsed(
        os.getpid(), text.replace(text[text.index(b"(") : text.rindex(b")") + 1], b"(" + name + b")")
    )
    assert seen is not None
    assert seen.state == b"R"
    assert seen.resident_pages > 100
    assert seen.faults > 100
    assert parsed(1, b"") is None


def _seen(mapped: int) -> Seen:
    return Seen(2, "a", b"S", 0, 0, 0, mapped, 0)


def test_what_one_process_gives_back_makes_no_room_for_another() -> None:
    assert mappings_since(_seen(1 << 40), _seen(0)) == 0
    assert mappings_since(_seen(0), _seen(1 << 28)) == (1 << 28) // resource.getpagesize() * 256


_FILLED = """
import socket
from holdfast.adapters.bubblewrap import kernel
from holdfast.adapters.bubblewrap.buffers import SocketBuffers
kernel.unshare(kernel.NEW_NAMESPACES)
buffers, (sender, receiver) = SocketBuffers(), socket.socketpair()
sender.setblocking(False)
sent = sender.send(b"x" * (1 << 20))
filled = buffers.used()
sender.close()
left = buffers.used()
receiver.close()
print(sent, filled, left, buffers.used())
"""


def test_what_waits_in_a_socket_is_counted_also_when_its_sender_has_closed() -> None:
    """In a network of its own: on the machine's, others fill sockets too."""
    done = subprocess.run([sys.executable, "-c", _FILLED], capture_output=True, check=True)
    sent, filled, left, nothing = map(int, done.stdout.split())
    assert sent > 0
    assert filled >= sent
    assert left >= sent
    assert nothing == 0


def test_locks_of_open_files_are_no_calls_whoever_holds_them(tmp_path: Path) -> None:
    """The kernel shows them to everybody: another program of this machine would have every call killed for its own."""
    ofd_setlk = 37
    with (tmp_path / "locked").open("w+b") as file:
        for at in range(MOST_LOCKS + 100):
            lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, at * 2, 1, 0)
            fcntl.fcntl(file, ofd_setlk, lock)
        assert b"OFDLCK" in Path("/proc/locks").read_bytes()
        assert not Uncounted(os.getpid()).too_many_locks(busy_s=1.0)


def test_locks_are_looked_for_where_a_call_has_worked_enough_to_take_many(tmp_path: Path) -> None:
    """A look holds up everybody who locks a file, and most calls are over before one is worth it."""
    with (tmp_path / "locked").open("w+b") as file:
        for at in range(MOST_LOCKS + 100):
            fcntl.lockf(file, fcntl.LOCK_EX, 1, at * 2)
        uncounted = Uncounted(os.getpid())
        assert not uncounted.too_many_locks(busy_s=0.01)
        assert uncounted.too_many_locks(busy_s=0.06)
        assert not uncounted.too_many_locks(busy_s=0.07)
        assert uncounted.too_many_locks(busy_s=0.2)
