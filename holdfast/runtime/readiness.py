"""How a process says that it is ready, in systemd's words: `READY=1` to the socket that NOTIFY_SOCKET names.

Our supervisor listens there, and so does systemd for units of `Type=notify`.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Mapping

_VARIABLE = "NOTIFY_SOCKET"


def tell_ready() -> None:
    """Called once by a worker that polls, or an API that listens. Does nothing where nobody asked."""
    address = os.environ.get(_VARIABLE)
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


class ReadySocket:
    """The listening end, for one child. Abstract: no file to clean up, and out of a sandbox's reach."""

    def __init__(self) -> None:
        self._name = f"holdfast-{os.getpid()}-{secrets.token_hex(8)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(f"\0{self._name}")

    @property
    def variables(self) -> Mapping[str, str]:
        return {_VARIABLE: f"@{self._name}"}

    async def wait(self) -> None:
        while b"READY=1" not in await asyncio.get_running_loop().sock_recv(self._socket, 256):
            pass

    def close(self) -> None:
        self._socket.close()
