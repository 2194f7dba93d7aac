"""Judged actions on their way to a tool, and what became of them."""

from typing import Literal

from pydantic import Field

from schemas.actions import Action
from schemas.base import Digest, Payload
from schemas.stages.scope import RunScope
from schemas.tools import ToolResult


class ActRequest(Payload):
    """Perform one judged action. The worker recomputes the digest and looks for the verdict itself."""

    scope: RunScope
    action: Action
    digest: Digest
    tool_digest: Digest
    step_title: str = ""
    opens: bool = Field(
        default=False, description="The step starts with this call; otherwise it started with its verdict."
    )
    closes: bool = Field(
        default=True, description="The step ends with this action; false for one item of many."
    )
    final: bool = Field(default=True, description="No attempt follows, should this one fail.")


class ActRow(Payload):
    """Perform the judged actions of a row of steps, one after the other, for as long as each succeeds."""

    calls: tuple[ActRequest, ...] = Field(min_length=1)


class ActReport(Payload):
    """What became of it. `unknown`: it may or may not have happened, and a human must say. `stale`: the rules have
    changed since it was judged, or the verdict has expired. `over`: the run had ended, and was not said to go on."""

    state: Literal["done", "unknown", "refused", "held", "paused", "stale", "over"]
    result: ToolResult | None = None
    why: str = ""


class ActReports(Payload):
    """Of the first calls of the row, at least of one; those behind have not gone out."""

    reports: tuple[ActReport, ...] = Field(min_length=1)
