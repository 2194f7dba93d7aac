"""`sys.ports`: the TCP ports in use, and who holds them."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload, Request
from schemas.tools import EffectClass, ToolExample

_STATES = {"0A": "listen", "01": "established", "06": "time_wait", "08": "close_wait"}


class Port(Payload):
    protocol: str
    address: str
    port: int
    state: str
    pid: int | None = Field(default=None, description="Who holds it, where this worker may see that.")
    process: str = ""


class Ports(Payload):
    ports: tuple[Port, ...]

    def told(self) -> str:
        named = ", ".join(f"{each.port} {each.process}".strip() for each in self.ports[:8])
        return f"{len(self.ports)} sockets: {named}"


class PortQuery(Request):
    port: int | None = Field(default=None, ge=1, le=65535, description="Only this local port.")
    listening: bool = Field(default=True, description="Only sockets that listen.")


@declared(
    "sys.ports",
    version="1.0.1",
    effect=EffectClass.READ_ONLY,
    timeout_s=10,
    outside=True,
    examples=(ToolExample(title="Who holds port 443", arguments={"port": 443}),),
)
async def ports(arguments: PortQuery, context: ToolContext) -> Ports:  # noqa: ARG001
    """Lists the TCP ports in use on the host, and who holds them where that can be seen."""
    found = [
        port
        for port in await asyncio.to_thread(lambda: list(_sockets()))
        if port.state == "listen" or not arguments.listening
    ]
    chosen = [port for port in found if arguments.port in (None, port.port)]
    return Ports(ports=tuple(sorted(chosen, key=lambda port: (port.port, port.address))[:1000]))


def _sockets() -> Iterator[Port]:
    holders = _socket_holders()
    for protocol in ("tcp", "tcp6"):
        table = Path("/proc/net") / protocol
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            pid, name = holders.get(fields[9], (None, ""))
            yield Port(
                protocol=protocol,
                address=_address(address),
                port=int(port, 16),
                state=_STATES.get(fields[3], "other"),
                pid=pid,
                process=name,
            )


def _socket_holders() -> dict[str, tuple[int, str]]:
    """The process behind each socket's inode."""
    holders: dict[str, tuple[int, str]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            name = (folder / "comm").read_text(errors="replace").strip()
            links = [str(entry.readlink()) for entry in (folder / "fd").iterdir()]
        except OSError:
            continue
        for link in links:
            if link.startswith("socket:["):
                holders[link[8:-1]] = (int(folder.name), name)
    return holders


def _address(text: str) -> str:
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, b"".join(words))
