"""Steps as these tests write them."""

from typing import Any

from schemas.plans import ToolStep


def say(
    name: str, text: str = "", *, tool: str = "say", arguments: dict[str, Any] | None = None, **fields: Any
) -> ToolStep:
    return ToolStep(id=name, tool=tool, arguments={"text": text or name, **(arguments or {})}, **fields)
