"""The part of an action that can be understood: a small view, free of Temporal, databases and clocks."""

from dataclasses import dataclass, field
from typing import Any, Literal

PayloadKind = Literal["none", "shell", "python", "http", "sql", "file", "mcp"]


@dataclass(frozen=True, slots=True)
class ActionView:
    """`kind` says which language the arguments carry; `tainted` names arguments whose text came from outside."""

    tool: str
    kind: PayloadKind
    arguments: dict[str, Any] = field(default_factory=dict)
    workspace: str = "/workspace"
    tainted: tuple[str, ...] = ()
    declared_read_only: bool = False
    """The platform's own catalogue says the tool only reads. Never set this from an MCP annotation."""
    method: str = "GET"
    """What an HTTP tool sends where its arguments name no method."""
    hints: dict[str, Any] = field(default_factory=dict)
    """What an MCP server says of itself: recorded, and never believed."""
