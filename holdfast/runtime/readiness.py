"""How a process says that it is ready, and from then on that it is not stuck, in systemd's words: `READY=1` and
`WATCHDOG=1` to the socket that NOTIFY_SOCKET names.

Our supervisor listens there, and so does systemd for units of `Type=notify` with a `WatchdogSec=`.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress

_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG = "WATCHDOG_USEC"
_READY = b"READY=1"
_BEAT = b"WATCHDOG=1"


def tell_ready() -> None:
    """Called once, on the event loop, by a worker that polls or an API that listens. Does nothing where nobody asked.

    The beats come from the loop itself, so they end when it is blocked, deadlocked or stopped.
    """
    _say(_READY)
    if every := _beats_every():
        _beat(asyncio.get_running_loop(), every)


def _beats_every() -> float:
    """Twice in the time that was set, as systemd advises; 0 where nobody wants them from this process."""
    for_another = os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid())
    return 0.0 if for_another else int(os.environ.get(_WATCHDOG) or 0) / 2e6


def _beat(loop: asyncio.AbstractEventLoop, every: float) -> None:
    with suppress(OSError):  # nobody listens, or they are too busy: a lost beat is no reason to stop working
        _say(_BEAT)
    loop.call_later(every, _beat, loop, every)


def _say(what: bytes) -> None:
    address = os.environ.get(_SOCKET)
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        out.sendto(what, "\0" + address[1:] if address.startswith("@") else address)


class NotifySocket:
    """The listening end, for one child. Abstract: no file to clean up, and out of a sandbox's reach."""

    def __init__(self, *, beat_within_s: float) -> None:
        self._name = f"holdfast-{os.getpid()}-{secrets.token_hex(8)}"
        self._beat_within_s = beat_within_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(f"\0{self._name}")

    @property
    def variables(self) -> Mapping[str, str]:
        return {_SOCKET: f"@{self._name}", _WATCHDOG: str(round(self._beat_within_s * 1e6))}

    async def ready(self) -> None:
        await self._hears(_READY)

    async def beat(self) -> None:
        """Returns with the next one; those that were not listened to do not count."""
        while self._waiting():
            pass
        await self._hears(_BEAT)

    def close(self) -> None:
        self._socket.close()

    async def _hears(self, what: bytes) -> None:
        while what not in await asyncio.get_running_loop().sock_recv(self._socket, 256):
            pass

    def _waiting(self) -> bytes:
        try:
            return self._socket.recv(256)
        except BlockingIOError:
            return b""
