"""The MCP servers of a worker: connected, their catalogues checked against what a person has seen, and offered.

A catalogue that nobody has seen, or that changed since, is refused with its hash: an operator looks at it and writes
the hash down, and until then no run is given these tools.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import yaml
from pydantic import ValidationError

from holdfast.errors import HoldfastError, InvalidInput, Misconfigured
from holdfast.sandbox.port import Sandbox, SecretSource
from holdfast.tools.declare import Tool
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.shelf import Offers, Refusals

if TYPE_CHECKING:
    from holdfast.adapters.mcp.answered import Connection
from schemas.mcp import McpServer, McpServers

log = structlog.get_logger()

_AT_ONCE = 4
"""Servers asked at the same time: one that does not answer keeps few others waiting."""


@dataclass
class _Known:
    server: McpServer
    connection: "Connection"
    tools: Sequence[Tool] = ()


class ServerFile:
    def __init__(
        self,
        file: Path,
        *,
        host: RegistryToolHost,
        sandbox: Sandbox,
        secrets: SecretSource,
        offers: Offers,
        refusals: Refusals,
        unsandboxed: bool = True,
    ) -> None:
        """`unsandboxed` says whether a server may run beside the worker at all."""
        self._file = file
        self._unsandboxed = unsandboxed
        self._host = host
        self._sandbox = sandbox
        self._secrets = secrets
        self._offers = offers
        self._refusals = refusals
        self._known: dict[str, _Known] = {}
        self._named: set[str] = set()
        self._heard: set[str] = set()
        self._looked = False
        host.expect(["mcp."])

    async def follow(self, *, every_s: float = 30.0) -> None:
        """Read the file and ask every server again and again: what changed there is seen before long."""
        while True:
            try:
                await self.look()
            except HoldfastError as error:
                log.warning("mcp_servers_wait", why=error.code)
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        source = f"mcp:{self._file.name}"
        try:
            wanted = await asyncio.to_thread(read_servers, self._file)
        except InvalidInput as error:
            await self._refusals.refuse(source, str(error))
            return
        await self._refusals.accept(source)
        for name in [name for name, known in self._known.items() if wanted.servers.get(name) != known.server]:
            await self._forget(name)
        for name in self._named - set(wanted.servers):
            await self._refusals.accept(f"mcp:{name}")
        self._named = set(wanted.servers)
        self._heard &= self._named
        places = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._ask(name, server, places) for name, server in wanted.servers.items()))
        self._host.offer("mcp", self._tools())
        self._host.expect([f"mcp.{name}." for name in self._named - self._heard])
        if not self._looked:
            await self._offers.keep_only("mcp", [tool.spec for tool in self._tools()])
            await self._refusals.keep_only("server", [f"mcp:{name}" for name in self._named])
            self._looked = True

    def _tools(self) -> Sequence[Tool]:
        return [tool for known in self._known.values() for tool in known.tools]

    async def close(self) -> None:
        for known in self._known.values():
            await known.connection.close()

    async def _ask(self, name: str, server: McpServer, places: asyncio.Semaphore) -> None:
        """The edge to somebody else's server: whatever it brings is its own problem, and the others are followed on."""
        try:
            async with places:
                problems = await self._taken_in(name, server)
        except (HoldfastError, ValidationError) as error:
            problems = [str(error)]
            log.warning("mcp_server_refused", server=name, why=type(error).__name__)
        except Exception as error:
            problems = [f"It cannot be used: {type(error).__name__}: {error}"]
            log.exception("mcp_server_failed", server=name)
        if problems:
            await self._refusals.refuse(f"mcp:{name}", "; ".join(problems)[:2000])
        else:
            await self._refusals.accept(f"mcp:{name}")

    async def _taken_in(self, name: str, server: McpServer) -> Sequence[str]:
        """Why some of its tools are left out. One that is away keeps its tools: their calls say so. One whose words changed
        loses them."""
        # mcp takes a second to import: only a worker with servers pays for it.
        from holdfast.adapters.mcp.catalogue import hash_of, listed, tools_of  # noqa: PLC0415
        from holdfast.adapters.mcp.connection import connection_to  # noqa: PLC0415

        if server.unsandboxed and not self._unsandboxed:
            raise Misconfigured(
                f"The server {name} asks to run outside the sandbox, which the prod profile does not permit.",
                remedy="Leave `unsandboxed` out, with `warm` in its place, or run it elsewhere and name its url.",
            )
        known = self._known.get(name)
        if known is None:
            connection = await connection_to(server, name=name, sandbox=self._sandbox, secrets=self._secrets)
            known = self._known[name] = _Known(server, connection)
        said = await known.connection.tools()
        self._heard.add(name)
        found = listed(said)
        seen = hash_of(found)
        if server.catalogue not in ("any", seen):
            await self._withdraw(known)
            raise InvalidInput(
                f"Its tools ({', '.join(str(tool['name']) for tool in found)[:500]}) have the hash {seen}, which"
                " nobody has accepted.",
                remedy=f"Look at them, and write `catalogue: {seen}` below the server's name.",
            )
        tools, problems = tools_of(name, server, known.connection, found)
        await self._swap(known, tools)
        self._host.offer("mcp", self._tools())
        return problems

    async def _swap(self, known: _Known, tools: Sequence[Tool]) -> None:
        fresh = {tool.spec.key for tool in tools}
        await self._offers.publish([tool.spec for tool in tools])
        await self._offers.withdraw([tool.spec for tool in known.tools if tool.spec.key not in fresh])
        known.tools = tools

    async def _withdraw(self, known: _Known) -> None:
        await self._offers.withdraw([tool.spec for tool in known.tools])
        known.tools = ()

    async def _forget(self, name: str) -> None:
        known = self._known.pop(name)
        await self._withdraw(known)
        await known.connection.close()


def read_servers(file: Path) -> McpServers:
    """No file, no servers."""
    try:
        return McpServers.model_validate(yaml.safe_load(file.read_text()) or {})
    except FileNotFoundError:
        return McpServers()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{file.name} is no YAML: {' '.join(str(error).split())[:300]}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{file.name}: {place}: {first['msg']}") from error
