"""What a server offers, as tools of ours: named after the server, versioned by its words and the operator's."""

import fnmatch
import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from holdfast.adapters.mcp.answered import Answered, Connection
from holdfast.errors import ToolFailed
from holdfast.shapes import BadSchema, check_schema
from holdfast.tools.declare import Tool, ToolContext
from schemas.base import Digest, JsonObject
from schemas.canonical import digest_of
from schemas.mcp import McpServer
from schemas.tools import EffectClass, ToolError, ToolResult, ToolSpec

_ODD = re.compile(r"[^a-z0-9_-]+")
_MOST_TOOLS = 200
_MOST_CHARS = 4_000
_SLACK_S = 5.0
"""So that a call that is too slow ends as what was seen of it, and not as cut off from outside."""


def listed(found: Any) -> Sequence[JsonObject]:
    """What a server lists, where it is a list of tools. Raises ToolFailed otherwise."""
    tools: list[JsonObject] = (
        [tool for tool in found if isinstance(tool, dict)] if isinstance(found, list) else []
    )
    if not isinstance(found, list) or len(tools) < len(found):
        raise ToolFailed("What it lists are no tools.", remedy="Tell whoever runs the server.")
    if not all(isinstance(tool.get("name"), str) and tool["name"] for tool in tools):
        raise ToolFailed("It lists a tool without a name.", remedy="Tell whoever runs the server.")
    return tools


def hash_of(found: Sequence[JsonObject]) -> Digest:
    """The hash of everything the server says of its tools, in the order of their names."""
    return digest_of(sorted(found, key=lambda tool: str(tool.get("name"))))


def tools_of(
    name: str, server: McpServer, connection: Connection, found: Sequence[JsonObject]
) -> tuple[Sequence[Tool], Sequence[str]]:
    """Its tools, and why others are left out. Raises ToolFailed where two would have one name, or there are too many."""
    wanted = [tool for tool in found if _matches(str(tool["name"]), server.tools)]
    if len(wanted) > _MOST_TOOLS:
        raise ToolFailed(
            f"It offers {len(wanted)} tools; {_MOST_TOOLS} are the most.", remedy="Narrow `tools`."
        )
    made, problems = [], []
    for tool in wanted:
        try:
            made.append(_tool(name, server, connection, tool))
        except (BadSchema, ValueError) as error:
            problems.append(f"{str(tool['name'])[:80]!r} is left out: {_short(error)}")
    names = [tool.spec.name for tool in made]
    twice = {one for one in names if names.count(one) > 1}
    if twice:
        raise ToolFailed(f"Several of its tools would be called {min(twice)}.", remedy="Narrow `tools`.")
    return made, problems


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:300]
    return str(error)[:300]


def _tool(name: str, server: McpServer, connection: Connection, found: JsonObject) -> Tool:
    original = str(found["name"])
    for side in ("inputSchema", "outputSchema"):
        check_schema(found.get(side) or {}, patterns=False)
    schema = found.get("inputSchema") or {}
    if isinstance(schema, dict) and schema.get("type", "object") != "object":
        raise ValueError("inputSchema.type: arguments are an object")
    spec = ToolSpec(
        name=f"mcp.{name}.{_slug(original)}",
        description=(str(found.get("description") or "") or f"The tool {original} of {name}.")[:_MOST_CHARS],
        input_schema=found.get("inputSchema") or {"type": "object"},
        output_schema=found.get("outputSchema") or {},
        effect=EffectClass.READ_ONLY if _matches(original, server.read_only) else EffectClass.IRREVERSIBLE,
        source="mcp",
        permissions=server.permissions,
        timeout_s=server.timeout_s + _SLACK_S,
        risk="medium",
        owner=name,
        way=digest_of(
            {"server": server.model_dump(mode="json", exclude={"catalogue", "tools"}), "tool": original}
        ),
    )

    spec = spec.model_copy(update={"version": f"1.0.0-{digest_of([spec.said(), found])[7:19]}"})

    async def call(arguments: JsonObject, context: ToolContext) -> ToolResult:
        answered = await connection.call(
            original, arguments, run=context.workspace, timeout_s=server.timeout_s
        )
        failed = ToolResult(ok=False, error=answered.failure) if answered.failure else None
        return _with_sandbox(failed or _result(answered.result, most=server.result_bytes), answered)

    return Tool(spec=spec, call=call)


def _with_sandbox(result: ToolResult, answered: Answered) -> ToolResult:
    """The proxy's word, beside the server's and never in place of it."""
    output = result.output
    if answered.network:
        seen = [decision.model_dump(mode="json", exclude_defaults=True) for decision in answered.network]
        output = {**output, "network": seen}
    return result.model_copy(update={"output": output, "isolation": answered.isolation})


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _slug(name: str) -> str:
    plain = _ODD.sub("_", name.lower()).strip("-")[:80]
    return plain if plain[:1].isalpha() else f"t{plain}"


def _result(found: JsonObject, *, most: int) -> ToolResult:
    """Text together, structure apart, anything else as it came; cut where it is larger than it may be."""
    content = [part for part in found.get("content", []) if isinstance(part, dict)]
    text = "\n".join(str(part.get("text", "")) for part in content if part.get("type") == "text")
    output: JsonObject = {"text": text}
    if found.get("structuredContent") is not None:
        output["structured"] = found["structuredContent"]
    others = [part for part in content if part.get("type") != "text"]
    if others:
        output["content"] = others
    if len(json.dumps(output)) > most:
        output = {"text": text[: most // 4], "truncated": True}
    ok = not found.get("isError")
    error = (
        None if ok else ToolError(code="mcp_error", message=text[:2000] or "The tool failed without a word.")
    )
    return ToolResult(ok=ok, output=output, summary=text[:300], error=error)
