"""An action: the exact thing about to happen. Its digest is what is judged, approved, dispatched and recorded."""

from typing import Literal

from pydantic import Field

from schemas.base import JsonObject, Labels, Name, RunId, StepId
from schemas.digested import Digested


class Action(Digested):
    """One call, fully resolved. Two actions that differ in any field below `digest` are different actions."""

    tenant: Name
    run_id: RunId
    step_id: StepId
    item: int | None = Field(default=None, description="Which item of a `for_each`.")
    attempt: int = 1
    tool: str
    tool_version: str
    arguments: JsonObject = {}
    environment: Name
    agent: Name
    runbook: str | None = None
    labels: Labels = {}
    tainted: tuple[str, ...] = Field(default=(), description="Arguments whose text came from outside.")
    swayed: bool = Field(default=False, description="A model chose it that had text from outside before it.")
    claimed_risk: Literal["none", "low", "medium", "high"] = "none"

    def said(self) -> JsonObject:
        """What is not swayed has the digest it had before there was such a word."""
        said = super().said()
        return said if self.swayed else {name: value for name, value in said.items() if name != "swayed"}

    def edited(self, arguments: JsonObject) -> "Action":
        """The action as a human rewrote it: a new one, with a digest of its own, and no words from outside."""
        return self.model_copy(update={"arguments": arguments, "tainted": (), "swayed": False})

    @property
    def key(self) -> str:
        """This action at its place in the run: what makes its events unique. Where two were judged for one place, as by two
        attempts to think of a move, the story has both."""
        item = "" if self.item is None else f"[{self.item}]"
        return f"{self.step_id}{item}#{self.attempt}@{self.digest.removeprefix('sha256:')[:12]}"
