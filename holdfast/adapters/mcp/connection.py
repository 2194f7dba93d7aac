"""Two ways to a server: a session that is kept warm, and one that lives for a single exchange inside the sandbox."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from pydantic import ValidationError

from holdfast.adapters.mcp.sandboxed import in_sandbox
from holdfast.errors import Misconfigured, NotBegun, SandboxUnavailable, ToolFailed, Unavailable
from holdfast.sandbox.port import Conversing, Sandbox, SecretSource
from holdfast.tools.inside import program_text
from schemas.base import JsonObject
from schemas.mcp import McpServer
from schemas.sandbox import Isolation, Language, NetworkDecision, SandboxRequest, SandboxStatus

_CONNECT_S = 30.0
_PING_S = 5.0
_LIFE_S = 900.0
_MOST_PAGES = 50
_CLOSED = -32000
_BROKEN = (anyio.ClosedResourceError, anyio.BrokenResourceError)
_EVENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Answered:
    """What a server answered to a call, and what its sandbox saw of it where it lived for that call alone."""

    result: JsonObject
    network: Sequence[NetworkDecision] = ()
    isolation: Isolation | None = None


class Connection(Protocol):
    """What is asked of a server. A server that is away raises Unavailable; one that refuses, ToolFailed."""

    async def tools(self) -> Sequence[JsonObject]: ...
    async def call(self, name: str, arguments: JsonObject, *, run: str, timeout_s: float) -> Answered: ...
    async def close(self) -> None: ...


class WarmSession:
    """One session for all calls of a worker. A session that breaks is made anew by the next call."""

    def __init__(
        self,
        open_client: Callable[[], AbstractAsyncContextManager[Client]],
        *,
        name: str,
        life_s: float = math.inf,
    ) -> None:
        """`life_s` is when its end comes anyway: no call is begun on a session that is near it."""
        self._open = open_client
        self._name = name
        self._life_s, self._ends = life_s, math.inf
        self._busy = 0
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[None] | None = None
        self._client: Client | None = None

    async def tools(self) -> Sequence[JsonObject]:
        client, found, cursor = await self._ready(), [], None
        for _ in range(_MOST_PAGES):
            page = await self._asked(client.list_tools(cursor=cursor), _CONNECT_S)
            found += [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                return found
        raise ToolFailed(f"The MCP server {self._name} lists its tools without end.")

    async def call(self, name: str, arguments: JsonObject, *, run: str, timeout_s: float) -> Answered:  # noqa: ARG002 - one session for all runs
        client = await self._ready(timeout_s)
        result = await self._asked(client.call_tool(name, arguments), timeout_s)
        return Answered(result.model_dump(mode="json", by_alias=True, exclude_none=True))

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    async def _asked(self, question: Any, timeout_s: float) -> Any:
        self._busy += 1
        try:
            async with asyncio.timeout(timeout_s):
                return await question
        except TimeoutError as error:
            raise ToolFailed(f"The MCP server {self._name} did not answer within {timeout_s:g} s.") from error
        except MCPError as error:
            if not self._alive() or error.error.code == _CLOSED:
                await self.close()
                raise Unavailable(f"The MCP server {self._name} went away.") from error
            raise ToolFailed(f"The MCP server {self._name} refused: {str(error)[:500]}") from error
        except ValidationError as error:
            raise ToolFailed(f"The MCP server {self._name} answered with what is no MCP.") from error
        except (OSError, RuntimeError, *_BROKEN) as error:
            await self.close()
            raise Unavailable(f"The MCP server {self._name} went away: {type(error).__name__}.") from error
        finally:
            self._busy -= 1

    def _alive(self) -> bool:
        return self._owner is not None and not self._owner.done()

    async def _ready(self, needed_s: float = _CONNECT_S) -> Client:
        async with self._lock:
            worn_out = time.monotonic() + needed_s > self._ends and not self._busy
            if self._client is None or not self._alive() or worn_out or not await self._answers(self._client):
                await self._drop()
                self._client = await self._start()
                self._ends = time.monotonic() + self._life_s
            return self._client

    async def _answers(self, client: Client) -> bool:
        """Whether an idle session still stands: a call that is lost with it looks like one that was made."""
        if self._busy:
            return True
        try:
            async with asyncio.timeout(_PING_S):
                await client.session.send_ping()
        except MCPError as error:
            return self._alive() and error.error.code != _CLOSED  # to some, a ping is unknown
        except (TimeoutError, ValidationError, OSError, RuntimeError, *_BROKEN):
            return False
        return True

    async def _start(self) -> Client:
        """A session is opened and closed by one task of its own: its cancel scopes demand that."""
        opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._hold(opened))
        either: list[asyncio.Future[Any]] = [self._owner, opened]
        await asyncio.wait(either, timeout=_CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        if opened.done() and not opened.cancelled():
            return opened.result()
        why = self._owner.exception() if self._owner.done() and not self._owner.cancelled() else None
        await self._drop()
        raise NotBegun(
            f"The MCP server {self._name} cannot be reached{f': {_innermost(why)}' if why else '.'}",
            remedy="Is it up? Its address or command stands in the file of MCP servers.",
        )

    async def _hold(self, opened: asyncio.Future[Client]) -> None:
        async with self._open() as client:
            opened.set_result(client)
            await asyncio.Event().wait()

    async def _drop(self) -> None:
        owner, self._owner, self._client = self._owner, None, None
        if owner is not None:
            owner.cancel()
            await asyncio.gather(owner, return_exceptions=True)


class SandboxedServer:
    """The server is started in the run's sandbox for one exchange, and is dead when the exchange is over."""

    def __init__(self, server: McpServer, *, name: str, sandbox: Sandbox) -> None:
        self._server = server
        self._name = name
        self._sandbox = sandbox

    async def tools(self) -> Sequence[JsonObject]:
        answer = await self._exchange({"method": "tools/list"}, run=None, timeout_s=_CONNECT_S)
        found: list[JsonObject] = answer.result["tools"]
        return found

    async def call(self, name: str, arguments: JsonObject, *, run: str, timeout_s: float) -> Answered:
        params = {"name": name, "arguments": arguments}
        return await self._exchange({"method": "tools/call", "params": params}, run=run, timeout_s=timeout_s)

    async def close(self) -> None:
        """Nothing is kept."""

    async def _exchange(self, question: JsonObject, *, run: str | None, timeout_s: float) -> Answered:
        limits = self._server.permissions.limits
        request = SandboxRequest(
            run=run,
            language=Language.PYTHON,
            program=program_text("mcp_exchange"),
            stdin=json.dumps({**question, "command": self._server.command}),
            limits=limits.model_copy(
                update={
                    "wall_s": min(limits.wall_s, timeout_s),
                    "output_kb": max(limits.output_kb, self._server.result_bytes // 1000),
                }
            ),
            network=self._server.permissions.network,
        )
        result = await self._sandbox.run(request)
        if result.status is SandboxStatus.SANDBOX_ERROR:
            raise SandboxUnavailable(f"The sandbox failed: {result.error}")
        if result.status is not SandboxStatus.OK or result.stdout_truncated:
            why = result.error or result.stderr.strip().rpartition("\n")[2] or result.status.value
            raise ToolFailed(f"The MCP server {self._name} was stopped ({result.status.value}): {why[:500]}")
        answer: JsonObject = json.loads(result.stdout)
        if "error" in answer:
            raise ToolFailed(f"The MCP server {self._name} refused: {str(answer['error'])[:500]}")
        return Answered(answer["result"], result.network, result.isolation)


async def connection_to(
    server: McpServer, *, name: str, sandbox: Sandbox, secrets: SecretSource
) -> Connection:
    if server.url is not None:
        headers = {header: await _secret(secrets, secret) for header, secret in server.headers.items()}
        return WarmSession(lambda: _over_http(str(server.url), headers), name=name)
    if server.unsandboxed:
        parameters = StdioServerParameters(command=server.command[0], args=list(server.command[1:]))
        return WarmSession(lambda: Client(parameters, cache=None), name=name)
    if server.warm:
        if not isinstance(sandbox, Conversing):
            raise Misconfigured(
                "This worker's sandbox keeps no server warm.",
                remedy="Use the backend `bubblewrap`, or leave `warm` out.",
            )
        request = _serving(server)
        return WarmSession(
            lambda: Client(in_sandbox(sandbox, request), cache=None), name=name, life_s=request.limits.wall_s
        )
    return SandboxedServer(server, name=name, sandbox=sandbox)


def _serving(server: McpServer) -> SandboxRequest:
    limits = server.permissions.limits
    if "limits" not in server.permissions.model_fields_set:  # the defaults are those of one call
        limits = limits.model_copy(update={"wall_s": _LIFE_S, "cpu_s": _LIFE_S})
    program, argv = 'exec "$@"\n', server.command
    return SandboxRequest(program=program, argv=argv, limits=limits, network=server.permissions.network)


@asynccontextmanager
async def _over_http(url: str, headers: dict[str, str]) -> AsyncIterator[Client]:
    async with create_mcp_http_client(headers=headers) as http:
        transport = streamable_http_client(url, http_client=http, max_sse_event_size=_EVENT_BYTES)
        async with Client(transport, cache=None) as client:
            yield client


async def _secret(secrets: SecretSource, name: str) -> str:
    value = await secrets.secret(name)
    if value is None:
        raise Misconfigured(f"This worker has no secret {name!r}.")
    return value


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
