"""One session for all calls of a worker, kept warm. A session that breaks is made anew by the next call."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import anyio
from mcp import Client, MCPError, types
from pydantic import ValidationError

from holdfast.adapters.mcp.answered import CONNECT_S, Answered, failure, no_mcp, too_slow
from holdfast.adapters.mcp.reached import Reached
from holdfast.errors import BrokeOff, NotBegun, ToolFailed
from schemas.base import JsonObject
from schemas.sandbox import NetworkDecision
from schemas.tools import ToolError

_PING_S = 5.0
_MOST_PAGES = 50
_CLOSED = -32000
_BROKEN = (anyio.ClosedResourceError, anyio.BrokenResourceError)
Value = TypeVar("Value")


class _Failed(Exception):
    """The server answered, and it is no success."""

    def __init__(self, error: ToolError) -> None:
        super().__init__(error.message)
        self.error = error


class WarmSession:
    def __init__(
        self,
        reach: Callable[[], AbstractAsyncContextManager[Reached]],
        *,
        name: str,
        most: int,
        life_s: float = math.inf,
    ) -> None:
        """`life_s` is when its end comes anyway: no call is begun on a session that is near it."""
        self._reach = reach
        self._name, self._most = name, most
        self._life_s, self._ends = life_s, math.inf
        self._busy = 0
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[None] | None = None
        self._reached: Reached | None = None
        self._watchers: list[list[NetworkDecision]] = []
        self._untold: list[NetworkDecision] = []

    async def tools(self) -> Sequence[JsonObject]:
        client, cursor = (await self._ready()).client, None
        found: list[JsonObject] = []
        try:
            for _ in range(_MOST_PAGES):
                page = await self._asked(client.list_tools(cursor=cursor), CONNECT_S)
                found += [
                    tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in page.tools
                ]
                cursor = page.next_cursor
                if cursor is None:
                    return found
        except _Failed as failed:
            raise ToolFailed(failed.error.message, remedy=failed.error.remedy) from failed
        raise ToolFailed(f"The MCP server {self._name} lists its tools without end.")

    async def call(self, name: str, arguments: JsonObject, *, run: str, timeout_s: float) -> Answered:  # noqa: ARG002 - one session for all runs
        began = time.monotonic()
        reached = await self._ready(timeout_s)
        seen: list[NetworkDecision] = []
        self._watchers.append(seen)
        result, error = {}, None
        try:
            left = max(0.1, timeout_s - (time.monotonic() - began))
            answer = await self._asked(_called(reached.client, name, arguments), left)
            result = answer.model_dump(mode="json", by_alias=True, exclude_none=True)
        except _Failed as failed:
            error = failed.error
        finally:
            self._look(reached)
            self._watchers.remove(seen)
        return Answered(result, error, seen, reached.isolation)

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    def _look(self, reached: Reached) -> None:
        """Each connection belongs to every call that was under way, or to the next one where none was."""
        self._untold += reached.taken()
        if self._watchers:
            for watcher in self._watchers:
                watcher.extend(self._untold)
            self._untold = []

    async def _asked(self, question: Awaitable[Value], timeout_s: float) -> Value:
        self._busy += 1
        try:
            async with asyncio.timeout(timeout_s):
                return await question
        except TimeoutError as error:
            raise _Failed(too_slow(self._name, math.ceil(timeout_s))) from error
        except MCPError as error:
            if not self._alive() or error.error.code == _CLOSED:
                await self.close()
                raise BrokeOff(f"The MCP server {self._name} went away.") from error
            told = failure(self._name, error.error.code, error.error.message, most=self._most)
            raise _Failed(told) from error
        except ValidationError as error:
            raise _Failed(no_mcp(self._name)) from error
        except (OSError, RuntimeError, *_BROKEN) as error:
            await self.close()
            raise BrokeOff(f"The MCP server {self._name} went away: {type(error).__name__}.") from error
        finally:
            self._busy -= 1

    def _alive(self) -> bool:
        return self._owner is not None and not self._owner.done()

    async def _ready(self, needed_s: float = CONNECT_S) -> Reached:
        async with self._lock:
            worn_out = time.monotonic() + needed_s > self._ends and not self._busy
            if (
                self._reached is None
                or worn_out
                or not self._alive()
                or not await self._answers(self._reached)
            ):
                await self._drop()
                self._reached = await self._start()
                self._ends = time.monotonic() + self._life_s
            return self._reached

    async def _answers(self, reached: Reached) -> bool:
        """Whether an idle session still stands: a call that is lost with it looks like one that was made."""
        if self._busy:
            return True
        try:
            async with asyncio.timeout(_PING_S):
                await reached.client.session.send_ping()
        except MCPError as error:
            return self._alive() and error.error.code != _CLOSED  # to some, a ping is unknown
        except (TimeoutError, ValidationError, OSError, RuntimeError, *_BROKEN):
            return False
        return True

    async def _start(self) -> Reached:
        """A session is opened and closed by one task of its own: its cancel scopes demand that."""
        opened: asyncio.Future[Reached] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._hold(opened))
        either: list[asyncio.Future[Any]] = [self._owner, opened]
        await asyncio.wait(either, timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        if opened.done() and not opened.cancelled():
            return opened.result()
        why = self._owner.exception() if self._owner.done() and not self._owner.cancelled() else None
        await self._drop()
        raise NotBegun(
            f"The MCP server {self._name} cannot be reached{f': {_innermost(why)}' if why else '.'}",
            remedy="Is it up? Its address or command stands in the file of MCP servers.",
        )

    async def _hold(self, opened: asyncio.Future[Reached]) -> None:
        async with self._reach() as reached:
            opened.set_result(reached)
            await asyncio.Event().wait()

    async def _drop(self) -> None:
        owner, reached = self._owner, self._reached
        self._owner = self._reached = None
        if owner is not None:
            owner.cancel()
            await asyncio.gather(owner, return_exceptions=True)
        if reached is not None:
            self._look(reached)


async def _called(client: Client, name: str, arguments: JsonObject) -> types.CallToolResult:
    """Not by `call_tool`, which asks more of the server after the answer, and holds the answer against the server's schema
    without our bounds."""
    params = types.CallToolRequestParams(name=name, arguments=arguments)
    return await client.session.send_request(types.CallToolRequest(params=params), types.CallToolResult)


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
