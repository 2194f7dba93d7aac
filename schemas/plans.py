"""A plan: a graph of steps. What a planner proposes, a human may approve, and a run executes.

The graph is explicit (`depends_on`) and implied (every reference `${steps.a...}` depends on `a`). How references and
conditions are read stands in `holdfast.plan`; here are only their shapes.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import JsonObject, Labels, Name, Payload, StepId
from schemas.panels import Escalation, PanelTerms


class OnError(StrEnum):
    """What a step's failure means for the run, once its retries are spent."""

    FAIL = "fail"
    CONTINUE = "continue"
    REPLAN = "replan"


class StepRetry(Payload):
    """How often a failed call is made anew. Each attempt is a new action, judged and recorded like the first."""

    attempts: int = Field(default=1, ge=1, le=10, description="Calls in all, the first included.")
    wait_s: float = Field(default=1.0, ge=0, le=3600, description="Wait before the second call.")
    backoff: float = Field(
        default=2.0, ge=1, le=10, description="Each further wait is this many times longer."
    )


class Citation(Payload):
    """Where a step or an answer comes from: a section of a runbook, or a memory."""

    source: Literal["runbook", "memory"] = "runbook"
    id: str
    version: int | None = None
    title: str = ""
    section: str = ""


class Compensation(Payload):
    """The call that undoes a step, made when the run is cancelled gracefully or its plan is rolled back."""

    tool: str
    arguments: JsonObject = {}


class StepBase(Payload):
    id: StepId
    title: str = Field(default="", max_length=200)
    why: str = Field(default="", max_length=2000, description="The planner's reason, shown to approvers.")
    depends_on: tuple[StepId, ...] = ()
    when: str | None = Field(
        default=None, max_length=2000, description="The step is skipped where this condition is false."
    )
    for_each: str | None = Field(
        default=None, max_length=500, description="A reference to a list: one call per item."
    )
    concurrency: int = Field(default=4, ge=1, le=64, description="Calls of a `for_each` under way at once.")
    timeout_s: float | None = Field(default=None, gt=0, le=86_400 * 30)
    retry: StepRetry = StepRetry()
    on_error: OnError = OnError.FAIL
    cites: tuple[Citation, ...] = ()


class ToolStep(StepBase):
    """One call of one tool."""

    kind: Literal["tool"] = "tool"
    tool: str = Field(min_length=1, max_length=200, description="A tool's name, or `name@version`.")
    arguments: JsonObject = {}
    claimed_risk: Literal["none", "low", "medium", "high"] = Field(
        default="none", description="The planner's own opinion; it can only make the verdict stricter."
    )
    expect: str | None = Field(
        default=None,
        max_length=2000,
        description="A condition on `${output…}`: where it is false, the step has failed though its call has not.",
    )
    compensation: Compensation | None = None


class AgentStep(StepBase):
    """A goal delegated to another agent: a child run with its own observe-act loop and share of the limits."""

    kind: Literal["agent"] = "agent"
    agent: Name
    goal: str = Field(min_length=1, max_length=8000)
    inputs: JsonObject = {}
    budget_share: float = Field(default=0.5, gt=0, le=1, description="Of what is left of the run's limits.")


class PanelStep(StepBase, PanelTerms, Escalation):
    """A question put to several models or roles. Later steps read `output.choice`, `.answer` and `.consensus`."""

    kind: Literal["panel"] = "panel"
    question: str = Field(min_length=1, max_length=8000)
    context: str = Field(
        default="", max_length=100_000, description="Material for the voices, as a reference to an output."
    )


class ApprovalStep(StepBase):
    """A human gate: the run waits for somebody to read what stands before it."""

    kind: Literal["approval"] = "approval"
    message: str = Field(min_length=1, max_length=4000)
    group: Name = "operators"
    quorum: int = Field(default=1, ge=1, le=10)
    expires_s: float = Field(default=86_400 * 7, gt=0, le=86_400 * 90)


class WaitStep(StepBase):
    """A durable wait: for a while, until a time, or until an event is posted to the run."""

    kind: Literal["wait"] = "wait"
    seconds: float | None = Field(default=None, ge=0, le=86_400 * 365)
    until: str | None = Field(
        default=None, description="An ISO 8601 time with an offset, or a reference to one."
    )
    event: str | None = Field(
        default=None, max_length=200, description="The name of an event posted to the run."
    )


Step = Annotated[ToolStep | AgentStep | PanelStep | ApprovalStep | WaitStep, Field(discriminator="kind")]


class PlanSource(StrEnum):
    MODEL = "model"
    RUNBOOK = "runbook"
    GIVEN = "given"
    CACHE = "cache"
    REACT = "react"


class Plan(Payload):
    """What a run is going to do."""

    steps: tuple[Step, ...] = Field(max_length=10_000)
    source: PlanSource = PlanSource.GIVEN
    swayed: bool = Field(
        default=False, description="The model that wrote it had text from outside before it."
    )
    rationale: str = Field(default="", max_length=8000)
    answer: str | None = Field(
        default=None,
        max_length=8000,
        description="A template for the final answer; references are filled in.",
    )
    cites: tuple[Citation, ...] = ()
    labels: Labels = {}

    def compact(self) -> JsonObject:
        """The plan as JSON without what goes without saying; it reads back as the same plan."""
        steps = [
            {"kind": step.kind, **step.model_dump(mode="json", exclude_defaults=True)} for step in self.steps
        ]
        return {**self.model_dump(mode="json", exclude_defaults=True, exclude={"steps"}), "steps": steps}


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    DENIED = "denied"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self not in (StepState.PENDING, StepState.RUNNING, StepState.WAITING, StepState.UNKNOWN)


class Finding(Payload):
    """Something wrong with a plan, said so that a planner or a person can mend it."""

    step: str | None = None
    code: str
    message: str
    fatal: bool = True
