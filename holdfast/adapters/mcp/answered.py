"""What is asked of a connection to a server, and what it brings: an answer or a failure, and what was seen from outside."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from holdfast.adapters.mcp.answers import TOO_LARGE, UNREADABLE
from holdfast.tools.builtin.remedies import remedy_of
from holdfast.tools.plain import plain_text
from schemas.base import JsonObject
from schemas.sandbox import Isolation, NetworkDecision
from schemas.tools import ToolError

CONNECT_S = 30.0
_MOST_CHARS = 500


@dataclass(frozen=True)
class Answered:
    """How a call went, and what its sandbox and its proxy saw of it: also where it failed."""

    result: JsonObject = field(default_factory=dict)
    failure: ToolError | None = None
    network: Sequence[NetworkDecision] = ()
    isolation: Isolation | None = None


class Connection(Protocol):
    """A server that is away raises NotBegun, one that goes away in the middle of a call BrokeOff."""

    async def tools(self) -> Sequence[JsonObject]: ...
    async def call(self, name: str, arguments: JsonObject, *, run: str, timeout_s: float) -> Answered: ...
    async def close(self) -> None: ...


def failure(name: str, code: Any, message: Any, *, most: int) -> ToolError:
    """What a JSON-RPC error means for the caller. Such a call may have done its work: nobody will repeat it."""
    if code == TOO_LARGE:
        said = f"The MCP server {name} answered with more than the {most} bytes that are read of an answer."
        return ToolError(code="answer_too_large", message=said, remedy=remedy_of("answer_too_large"))
    if code == UNREADABLE:
        said = f"The MCP server {name} answered with what cannot be read."
        return ToolError(code="bad_answer", message=said, remedy=remedy_of("bad_answer"))
    words = plain_text(str(message))[:_MOST_CHARS]
    return ToolError(code="tool_failed", message=f"The MCP server {name} refused: {words}")


def no_mcp(name: str) -> ToolError:
    said = f"The MCP server {name} answered with what is no result of MCP."
    return ToolError(code="bad_answer", message=said, remedy=remedy_of("bad_answer"))


def too_slow(name: str, timeout_s: int) -> ToolError:
    said = f"The MCP server {name} did not answer within {timeout_s} s."
    return ToolError(code="timeout", message=said, remedy="Ask for less, or raise `timeout_s` of the server.")
