"""Memory that waits in the sockets of this network namespace. It belongs to no process, so the kernel is asked for it."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SOCK_DIAG, _BY_FAMILY, _DONE, _ERROR = 4, 20, 3, 2
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ALL_STATES = 0xFFFFFFFF
_UNIX_SHOW = 0x04 | 0x10 | 0x20  # peer, queue lengths, memory
_UNIX_PEER, _UNIX_QUEUE, _UNIX_MEMORY = 2, 4, 5
_INET_MEMORY = 7
_UNIX_HEADER, _INET_HEADER = 16, 72
_RECEIVED, _SENT, _MOST_SENT, _QUEUED, _OPTIONS, _BACKLOG = 0, 2, 3, 5, 6, 7
_FILTERS = (
    4  # what the kernel charges for a filter is a part of what it takes: its first form, and machine code
)
_ANSWER = 1 << 16

_UNIX_REQUEST = (
    _UNIX_HEADER,
    struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, _ALL_STATES, 0, _UNIX_SHOW, _ALL_STATES, _ALL_STATES),
)
_INET_REQUESTS = tuple(
    (_INET_HEADER, struct.pack("=BBBBI48x", family, protocol, 1 << (_INET_MEMORY - 1), 0, _ALL_STATES))
    for family in (socket.AF_INET, socket.AF_INET6)
    for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP)
)


class SocketBuffers:
    """Asks through one descriptor. Where the kernel does not answer, nothing is counted."""

    def __init__(self) -> None:
        self.waits = False
        """Whether something waited in a Unix socket at the last look. Descriptors may be on their way with it."""
        self._netlink: socket.socket | None = None
        with contextlib.suppress(OSError):
            self._netlink = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG
            )
            self._netlink.settimeout(0.1)

    def used(self) -> int:
        unix = [_unix_memory(attributes) for attributes in self._answers(*_UNIX_REQUEST)]
        internet = (_inet_memory(found) for request in _INET_REQUESTS for found in self._answers(*request))
        self.waits = any(one.waiting or one.orphaned for one in unix)
        return _sum_of_unix(unix) + sum(internet)

    def close(self) -> None:
        if self._netlink:
            self._netlink.close()

    def _answers(self, header: int, request: bytes) -> Iterator[dict[int, bytes]]:
        if self._netlink is None:
            return
        try:
            self._netlink.send(struct.pack("=IHHII", 16 + len(request), _BY_FAMILY, _DUMP, 0, 0) + request)
            while True:
                for kind, body in _messages(self._netlink.recv(_ANSWER)):
                    if kind in (_DONE, _ERROR):
                        return
                    yield dict(_attributes(body[header:]))
        except OSError:  # a kernel without it, or an answer in pieces that changed meanwhile
            return


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        yield kind, data[16:length]
        data = data[(length + 3) & ~3 :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[max(4, (length + 3) & ~3) :]


@dataclass(frozen=True)
class _UnixMemory:
    """Charged to the sender while that is open. What it left behind waits at the receiver, each piece with a cost."""

    sent: int
    waiting: int
    orphaned: int
    options: int


def _unix_memory(attributes: dict[int, bytes]) -> _UnixMemory:
    counts = _counts(attributes.get(_UNIX_MEMORY, b""))
    waiting = struct.unpack_from("=I", attributes.get(_UNIX_QUEUE, bytes(4)))[0]
    peer = struct.unpack_from("=I", attributes.get(_UNIX_PEER, bytes(4)))[0]
    options = counts[_OPTIONS] * _FILTERS
    if waiting and not peer:
        return _UnixMemory(counts[_SENT], 0, max(waiting, counts[_MOST_SENT]), options)
    return _UnixMemory(counts[_SENT], waiting, 0, options)


def _sum_of_unix(found: list[_UnixMemory]) -> int:
    open_ones = max(sum(one.sent for one in found), sum(one.waiting for one in found))
    return open_ones + sum(one.orphaned + one.options for one in found)


def _inet_memory(attributes: dict[int, bytes]) -> int:
    counts = _counts(attributes.get(_INET_MEMORY, b""))
    options = counts[_OPTIONS] * _FILTERS
    return counts[_RECEIVED] + max(counts[_SENT], counts[_QUEUED]) + counts[_BACKLOG] + options


def _counts(data: bytes) -> tuple[int, ...]:
    return struct.unpack_from("=9I", data) if len(data) >= 36 else (0,) * 9
