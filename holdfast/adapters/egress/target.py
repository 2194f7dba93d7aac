"""Where a request of the tool wants to go: by the words of a plain request, or by the hello of a tunnel."""

import asyncio
from urllib.parse import urlsplit

from holdfast.adapters.egress.http import BadRequest, Head
from holdfast.adapters.egress.talk import Denied
from holdfast.adapters.egress.tls import NotTls, record_length, server_name
from holdfast.sandbox.egress import Destination, canonical_host


def place_of(head: Head) -> tuple[str, int, str]:
    """Host, port and path of a plain request, from an absolute target or from Host."""
    if head.target.startswith("/"):
        destination = Destination.parse(head.host, default_port=80)
        return destination.host, destination.port, head.target
    parts = urlsplit(head.target)
    if parts.scheme.lower() != "http" or "@" in parts.netloc or "\\" in head.target:
        raise BadRequest("the target is neither a path nor a plain http:// address")
    destination = Destination.parse(parts.netloc, default_port=80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return destination.host, destination.port, path


def host_header(destination: Destination, usual: int) -> str:
    """`usual` is the port that goes without saying."""
    host = f"[{destination.host}]" if ":" in destination.host else destination.host
    return host if destination.port == usual else f"{host}:{destination.port}"


async def read_hello(reader: asyncio.StreamReader, host: str) -> bytes:
    """The first record of a tunnel to `host`. Raises Denied where it is not TLS for that name."""
    try:
        header = await reader.readexactly(5)
        record = await reader.readexactly(record_length(header))
        name = server_name(record)
        asked = canonical_host(name) if name is not None else None
    except NotTls as error:
        raise Denied(str(error)) from error
    is_address = ":" in host or host.replace(".", "").isdigit()
    if asked != host and not (asked is None and is_address):
        raise Denied(f"the tunnel to {host} asks for another name")
    return header + record
