"""What is known before a run, and what it taught."""

from pydantic import Field

from schemas.base import JsonObject, Labels, Payload
from schemas.plans import Citation, Plan
from schemas.runs import RunStatus, StepOutcome
from schemas.stages.scope import RunScope


class RecallRequest(Payload):
    scope: RunScope
    goal: str
    runbook: str | None = None
    thread: str | None = None
    token_budget: int = 4000
    alert: str = Field(default="", description="The alert it answers, where that is known.")
    tools: tuple[str, ...] = Field(default=(), description="Tools about to be called, or called already.")
    error: str = Field(default="", description="The error code of a call that failed.")
    calls: tuple[JsonObject, ...] = Field(
        default=(), description="The arguments of calls that failed: what programs their commands run."
    )
    labels: Labels = {}


class Recalled(Payload):
    """One thing that is known: text for the planner, and where it is from."""

    cite: Citation
    text: str
    score: float = 0
    why: str = ""
    untrusted: bool = False


class Recollection(Payload):
    items: tuple[Recalled, ...] = ()
    note: str = ""


class LearnRequest(Payload):
    scope: RunScope
    goal: str
    status: RunStatus
    plan: Plan | None = None
    outcomes: dict[str, StepOutcome] = {}
    approvals: tuple[str, ...] = ()
    answer: str = ""
    thread: str | None = None


class Learned(Payload):
    items: tuple[str, ...] = ()
