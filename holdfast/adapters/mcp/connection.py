"""From a server as its operator names it to a connection: kept warm, or made for each exchange."""

from holdfast.adapters.mcp.answered import Connection
from holdfast.adapters.mcp.answers import most_bytes
from holdfast.adapters.mcp.exchange import SandboxedServer
from holdfast.adapters.mcp.reached import at_address, beside_the_worker, in_a_sandbox, serving
from holdfast.adapters.mcp.session import WarmSession
from holdfast.errors import Misconfigured
from holdfast.sandbox.port import Conversing, Sandbox, SecretSource
from schemas.mcp import McpServer


async def connection_to(
    server: McpServer, *, name: str, sandbox: Sandbox, secrets: SecretSource
) -> Connection:
    most = most_bytes(server.result_bytes)
    if server.url is not None:
        headers = {header: await _secret(secrets, secret) for header, secret in server.headers.items()}
        return WarmSession(lambda: at_address(server, headers), name=name, most=most)
    if server.unsandboxed:
        return WarmSession(lambda: beside_the_worker(server), name=name, most=most)
    if server.warm:
        if not isinstance(sandbox, Conversing):
            raise Misconfigured(
                "This worker's sandbox keeps no server warm.",
                remedy="Use the backend `bubblewrap`, or leave `warm` out.",
            )
        return WarmSession(
            lambda: in_a_sandbox(server, sandbox), name=name, most=most, life_s=serving(server).limits.wall_s
        )
    return SandboxedServer(server, name=name, sandbox=sandbox)


async def _secret(secrets: SecretSource, name: str) -> str:
    value = await secrets.secret(name)
    if value is None:
        raise Misconfigured(f"This worker has no secret {name!r}.")
    return value
