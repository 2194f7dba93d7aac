"""Runs: how one is asked for, what its workflow starts from, and what is told of it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.agents import AgentSpec, Mode, RunLimits
from schemas.base import Digest, JsonObject, Labels, Name, Payload, Request, RunId, strictly
from schemas.commands import ResumeCommand
from schemas.models import ModelRoutes
from schemas.plans import Citation, Plan, StepState
from schemas.tools import ArtifactRef, Catalogue, ToolError


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    INPUT_REQUIRED = "input_required"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"

    @property
    def ended(self) -> bool:
        return self in (
            RunStatus.SUCCEEDED,
            RunStatus.FAILED,
            RunStatus.CANCELLED,
            RunStatus.TIMED_OUT,
            RunStatus.REJECTED,
        )


OnFailure = Literal["pause", "fail"]
Goal = Annotated[str, StringConstraints(min_length=1, max_length=8000, strip_whitespace=True)]


class RunRequest(Request):
    """The body of POST /v1/runs."""

    goal: Goal
    agent: Name = Field(
        default="operator", description="The agent's name; the newest version unless one is named."
    )
    agent_version: int | None = Field(default=None, ge=1)
    environment: Name = "dev"
    inputs: JsonObject = {}
    mode: Mode | None = Field(default=None, description="The agent's own mode, if not said.")
    runbook: str | None = Field(
        default=None, max_length=300, description="The runbook to run, in mode `runbook`."
    )
    plan: Annotated[Plan, strictly(Plan)] | None = Field(default=None, description="A plan to run as it is.")
    on_failure: OnFailure = "pause"
    limits: Annotated[RunLimits, strictly(RunLimits)] | None = None
    approve_plan: bool = Field(
        default=False, description="Ask a human for the whole plan before its first step."
    )
    labels: Labels = Field(default={}, max_length=64)
    thread: str | None = Field(default=None, max_length=120, description="Runs of one thread share context.")
    priority: int = Field(default=3, ge=1, le=5, description="1 is first.")


class StepOutcome(Payload):
    """What a step left behind. `output` is small, or a view of what `artifact` holds."""

    state: StepState
    output: JsonObject = {}
    artifact: ArtifactRef | None = None
    error: ToolError | None = None
    summary: str = ""
    untrusted: bool = False
    attempts: int = 0


class Tries(Payload):
    """A step, or one item of its list, between two attempts."""

    first: int = Field(description="Of the attempts that its `retry` counts.")
    next: int
    due: datetime


class RunState(Payload):
    """All that a run carries over continue-as-new, a resume or a fork. Nothing else survives."""

    plan: Plan | None = None
    accepted: bool = Field(
        default=False, description="The plan has passed its checks and, if asked for, a human."
    )
    outcomes: dict[str, StepOutcome] = {}
    items: dict[str, dict[int, StepOutcome]] = Field(
        default={}, description="The calls of a `for_each` under way."
    )
    replans: int = 0
    steps_done: int = 0
    tool_s: float = 0
    spend_usd: float = 0
    paused: bool = False
    status: RunStatus = Field(default=RunStatus.RUNNING, description="As it was told last.")
    helpless: bool = Field(default=False, description="It waits for a resume.")
    resume: ResumeCommand | None = Field(default=None, description="One that is not acted on yet.")
    instructions: tuple[str, ...] = ()
    posted: dict[str, tuple[JsonObject, ...]] = Field(
        default={}, description="External events, by name and in their order, until a step takes one."
    )
    swayed: tuple[str, ...] = Field(
        default=(), description="Steps that a model wrote with text from outside before it."
    )
    set_back: bool = Field(
        default=False, description="It was reset in Temporal: its story may have what it thinks of next."
    )
    heard: tuple[str, ...] = Field(
        default=(), description="The messages heard last, by id: what is sent again is not heard again."
    )
    wakes: dict[str, datetime] = Field(default={}, description="When each waiting step wakes.")
    deadlines: dict[str, datetime] = Field(
        default={}, description="When the time of each step under way is up, where it has a `timeout_s`."
    )
    tries: dict[str, Tries] = Field(
        default={}, description="What waits for its next attempt, by step, or step and item."
    )
    children: dict[str, RunId] = Field(
        default={}, description="The runs under way that steps were handed to, by step."
    )
    tell_end_to: RunId | None = Field(
        default=None,
        description="The run that asked to hear of this one's end: its own execution did not begin it.",
    )
    deadline: datetime | None = None
    generation: int = Field(
        default=0, description="How often the run was resumed; part of every event's key."
    )
    changed: tuple[str, ...] = Field(
        default=(), description="Steps that whoever resumed it rewrote or skipped: told when it begins."
    )
    life: str = Field(
        default="",
        description="Set where it was set back in Temporal behind what it told; part of the key too.",
    )
    told_of: dict[str, int] = Field(
        default={},
        description="Events the workflow itself has told, of each kind; the other part of the key.",
    )


class RunInput(Payload):
    """The argument of the workflow: everything the run needs, as it stood when the run was accepted."""

    run_id: RunId
    tenant: Name
    goal: str
    agent: AgentSpec
    delegates: dict[Name, AgentSpec] = Field(default={}, description="The agents it may hand steps to.")
    environment: Name = "dev"
    inputs: JsonObject = {}
    mode: Mode = "plan"
    runbook: str | None = None
    on_failure: OnFailure = "pause"
    limits: RunLimits = RunLimits()
    approve_plan: bool = False
    labels: Labels = {}
    thread: str | None = None
    priority: int = 3
    requested_by: str = ""
    bundle: Digest | None = Field(default=None, description="The policy bundle in force at the start.")
    catalogue: Catalogue = Catalogue()
    models: ModelRoutes | None = Field(
        default=None, description="The models there were at the start; None where there were none."
    )
    parent: RunId | None = None
    depth: int = 0
    from_outside: bool = Field(
        default=False, description="Its goal or its inputs were chosen by text from outside."
    )
    state: RunState = RunState()


class RunOutput(Payload):
    """The result of the workflow."""

    run_id: RunId
    status: RunStatus
    answer: str = ""
    reason: str = ""
    outputs: JsonObject = {}
    cites: tuple[Citation, ...] = ()
    steps_done: int = 0
    tool_s: float = 0
    spend_usd: float = 0


class Run(Payload):
    """A run as the API tells it."""

    id: RunId
    tenant: Name
    goal: str
    agent: Name
    agent_version: int
    environment: Name
    mode: Mode
    status: RunStatus
    reason: str = ""
    answer: str = ""
    outputs: JsonObject = {}
    cites: tuple[Citation, ...] = ()
    labels: Labels = {}
    thread: str | None = None
    parent: RunId | None = None
    forked_from: RunId | None = None
    requested_by: str = ""
    spend_usd: float = 0
    last_seq: int = 0
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None


class StepView(Payload):
    """A step as the API tells it: the plan's words and the story's last word on it."""

    id: str
    kind: str
    title: str = ""
    tool: str | None = None
    depends_on: tuple[str, ...] = ()
    state: StepState = StepState.PENDING
    outcome: StepOutcome | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
