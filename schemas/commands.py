"""What may be said to a run under way. Sent as updates and signals; the API stores what must be believed first."""

from typing import Literal

from pydantic import Field

from schemas.agents import RunLimits
from schemas.base import JsonObject, Payload
from schemas.plans import Plan


class PauseCommand(Payload):
    """Start nothing new; what is under way ends."""

    reason: str = ""
    by: str = ""


class ResumeCommand(Payload):
    """Go on: after a pause, or after a failure with whatever was mended."""

    by: str = ""
    step: str | None = Field(
        default=None, description="The failed step to try again; none means all that failed."
    )
    arguments: JsonObject | None = Field(default=None, description="New arguments for that step.")
    skip: bool = Field(default=False, description="Count the step as skipped, instead of trying it again.")
    plan: Plan | None = Field(
        default=None, description="A new plan; steps that succeeded keep their outcome."
    )
    limits: RunLimits | None = Field(default=None, description="New limits, where one was reached.")
    inputs: JsonObject = Field(default={}, description="Inputs that were missing.")


class CancelCommand(Payload):
    """End the run. `graceful` makes the compensations of its plan first; `force` does not."""

    mode: Literal["graceful", "force"] = "graceful"
    reason: str = ""
    by: str = ""


class Unread(Payload):
    """In place of a claim that cannot be read: forged, or sealed with something else than a key of ours."""

    unread: str


class PostedEvent(Payload):
    """Something that happened outside, told to the run: a `wait` step may be waiting for it."""

    id: str
    name: str = Field(min_length=1, max_length=200)
    data: JsonObject = {}
    by: str = ""


class Instruction(Payload):
    """A further instruction for the agent, heeded from its next plan or move on."""

    id: str
    text: str = Field(min_length=1, max_length=8000)
    by: str = ""


class CommandReport(Payload):
    """Where the run stands after a command."""

    status: str
    note: str = ""
