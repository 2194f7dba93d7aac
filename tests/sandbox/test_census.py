"""Memory without a control group: what is bounded, what is counted, and what belongs to no process."""

import os
import socket
from pathlib import Path

from holdfast.adapters.bubblewrap.buffers import SocketBuffers
from holdfast.adapters.bubblewrap.census import shared_objects
from holdfast.adapters.bubblewrap.tree import parsed

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


def test_what_waits_in_a_socket_is_counted_also_when_its_sender_has_closed() -> None:
    buffers = SocketBuffers()
    before = buffers.used()
    sender, receiver = socket.socketpair()
    sender.setblocking(False)
    with receiver:
        with sender:
            sent = sender.send(b"x" * (1 << 20))
            assert buffers.used() - before >= sent
        assert buffers.used() - before >= sent
    assert buffers.used() - before < sent
    buffers.close()
