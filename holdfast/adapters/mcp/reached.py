"""The four ways to a server that is spoken with over a session: an address, beside the worker, or in a sandbox."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from holdfast.adapters.mcp.answers import most_bytes
from holdfast.adapters.mcp.beside import started
from holdfast.adapters.mcp.http_answers import bounded_client
from holdfast.adapters.mcp.lines import over_lines
from holdfast.sandbox.port import Conversing
from schemas.mcp import McpServer
from schemas.sandbox import Isolation, NetworkDecision, SandboxRequest

_LIFE_S = 900.0
_BESIDE = Isolation(
    backend="none", degraded=("sandbox: the server runs beside the worker, as its operator asked",)
)


@dataclass(frozen=True)
class Reached:
    """A session that stands, and what is seen of its server from outside. `taken` tells each connection once."""

    client: Client
    isolation: Isolation | None = None
    taken: Callable[[], Sequence[NetworkDecision]] = tuple


@asynccontextmanager
async def at_address(server: McpServer, headers: dict[str, str]) -> AsyncIterator[Reached]:
    url, most = str(server.url), most_bytes(server.result_bytes)
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    asked = NetworkDecision(host=parts.hostname or "", port=port, verdict="allowed", method="POST")
    async with bounded_client(headers, most=most) as http:
        transport = streamable_http_client(url, http_client=http, max_sse_event_size=2 * most)
        async with Client(transport, cache=None) as client:
            yield Reached(client, taken=lambda: (asked,))


@asynccontextmanager
async def beside_the_worker(server: McpServer) -> AsyncIterator[Reached]:
    async with started(server.command) as (reader, writer):
        lines = over_lines(reader, writer, most=most_bytes(server.result_bytes))
        async with Client(lines, cache=None) as client:
            yield Reached(client, isolation=_BESIDE)


@asynccontextmanager
async def in_a_sandbox(server: McpServer, sandbox: Conversing) -> AsyncIterator[Reached]:
    async with sandbox.converse(serving(server)) as talk:
        lines = over_lines(talk.reader, talk.writer, most=most_bytes(server.result_bytes))
        async with Client(lines, cache=None) as client:
            yield Reached(client, isolation=talk.isolation, taken=talk.network)


def serving(server: McpServer) -> SandboxRequest:
    limits = server.permissions.limits
    if "limits" not in server.permissions.model_fields_set:  # the defaults are those of one call
        limits = limits.model_copy(update={"wall_s": _LIFE_S, "cpu_s": _LIFE_S})
    program, argv = 'exec "$@"\n', server.command
    return SandboxRequest(program=program, argv=argv, limits=limits, network=server.permissions.network)
