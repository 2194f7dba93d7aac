"""Memory: what runs taught, what people said, and how each of it is found again, corrected and forgotten."""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.base import Digest, JsonObject, Labels, Moment, Name, Payload, Request, RunId, strictly

_LARGEST = 2**31 - 1
Count = Annotated[int, Field(ge=0, le=_LARGEST)]

MemoryId = Annotated[str, StringConstraints(pattern=r"^mem_[0-9a-z]{20,40}$")]


class MemoryKind(StrEnum):
    """What a run did; what is so; what to do or avoid when something happens again."""

    EPISODE = "episode"
    FACT = "fact"
    LESSON = "lesson"


class MemoryStatus(StrEnum):
    """Only `active` items are recalled. `forgotten` keeps the fact that something was there, and nothing else."""

    PROPOSED = "proposed"
    ACTIVE = "active"
    QUARANTINED = "quarantined"
    SUPERSEDED = "superseded"
    RETIRED = "retired"
    FORGOTTEN = "forgotten"


class Trust(IntEnum):
    """Who vouches for it. What is derived is trusted no more than the least of its sources."""

    EXTERNAL = 0
    MODEL = 1
    TOOL = 2
    HUMAN = 3


class Signature(Payload):
    """What an item is about, exactly. An empty part says nothing."""

    goal_kind: str = Field(default="", max_length=400)
    runbook: str = Field(default="", max_length=300)
    alert: str = Field(default="", max_length=300)
    tool: str = Field(default="", max_length=200)
    error: str = Field(default="", max_length=100)

    @property
    def empty(self) -> bool:
        return not (self.goal_kind or self.runbook or self.alert or self.tool)


class MemoryScope(Payload):
    """Where an item holds. Empty means everywhere."""

    agent: str = Field(default="", max_length=64)
    environment: str = Field(default="", max_length=64)
    thread: str = Field(default="", max_length=120)
    labels: Labels = {}


class Provenance(Payload):
    """Where an item comes from: who or what said it, in which run and step, and out of which other items."""

    author: str = ""
    run_id: RunId | None = None
    step_id: str | None = None
    derived_from: tuple[MemoryId, ...] = ()


class MemoryDraft(Request):
    """An item as somebody brings it."""

    kind: MemoryKind = MemoryKind.FACT
    text: str = Field(min_length=1, max_length=8000)
    data: JsonObject = Field(
        default={}, description="For a fact: `subject` and `attribute` name what a newer fact supersedes."
    )
    signature: Annotated[Signature, strictly(Signature)] = Signature()
    scope: Annotated[MemoryScope, strictly(MemoryScope)] = MemoryScope()
    confidence: float = Field(default=0.8, ge=0, le=1)
    importance: float = Field(default=0.5, ge=0, le=1)
    valid_from: Moment | None = None
    valid_to: Moment | None = None
    expires_at: Moment | None = None
    pinned: bool = False
    supersedes: MemoryId | None = None
    external: bool = Field(
        default=False,
        description="It comes from outside, such as a page or a ticket: it waits in quarantine until a person confirms it.",
    )


class MemoryContent(Payload):
    """What a version of an item holds. Versions are only ever added."""

    kind: MemoryKind
    status: MemoryStatus
    text: str = Field(min_length=1, max_length=8000)
    data: JsonObject = {}
    signature: Signature = Signature()
    scope: MemoryScope = MemoryScope()
    trust: Trust = Trust.MODEL
    tainted: bool = False
    confidence: float = Field(default=0.8, ge=0, le=1)
    importance: float = Field(default=0.5, ge=0, le=1)
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    expires_at: datetime | None = None
    pinned: bool = False
    superseded_by: MemoryId | None = None


class MemoryItem(Payload):
    id: MemoryId
    version: int = Field(ge=1, le=_LARGEST)
    digest: Digest
    content: MemoryContent
    provenance: Provenance = Provenance()
    used: Count = 0
    helped: Count = 0
    hurt: Count = 0
    created_at: datetime
    changed_at: datetime
    confirmed_at: datetime
    last_used_at: datetime | None = None


class MemoryVersion(Payload):
    """One version, and who made it and why."""

    id: MemoryId
    version: int
    content: MemoryContent
    author: str
    reason: str = ""
    created_at: datetime


class Cues(Payload):
    """What recall has to go by."""

    text: str = Field(max_length=8000)
    runbooks: tuple[str, ...] = ()
    alert: str = ""
    tools: tuple[str, ...] = ()
    programs: tuple[str, ...] = Field(
        default=(), description="What commands run, such as `kubectl drain`, where a tool runs any program."
    )
    error: str = ""
    agent: str = ""
    environment: str = ""
    thread: str = ""
    labels: Labels = Field(
        default={}, description="Of the run; an item with labels is recalled where the run has them all."
    )


class RecallSettings(Payload):
    """How recall weighs. The bonus of what is new is added and never multiplied: multiplied, it ruins the order."""

    recency_weight: float = Field(default=0.1, ge=0, le=1)
    half_life_days: float = Field(
        default=30, gt=0, description="Of episodes; lessons last six times as long."
    )
    usefulness_weight: float = Field(default=0.1, ge=0, le=1)
    near: float = Field(
        default=0.62, ge=0, le=1, description="The relevance from which likeness alone recalls."
    )
    lessons: int = Field(default=4, ge=0, le=20)
    facts: int = Field(default=3, ge=0, le=20)
    episodes: int = Field(default=2, ge=0, le=20)


class MemoryHit(Payload):
    """An item that was recalled, and why."""

    item: MemoryItem
    score: float
    match: Literal["signature", "related", "like"]
    parts: dict[str, float] = {}
    why: str = ""


class Feedback(Request):
    """What a person says about a run, or about one thing it recalled."""

    run_id: RunId
    verdict: Literal["up", "down"] | None = None
    comment: str = Field(default="", max_length=4000)
    correction: str = Field(
        default="", max_length=4000, description="What it should have known; stored as a lesson."
    )
    item: MemoryId | None = Field(
        default=None, description="The item meant; otherwise all the run was given."
    )


class FeedbackReport(Payload):
    """What the feedback changed."""

    credited: tuple[MemoryId, ...] = ()
    retired: tuple[MemoryId, ...] = ()
    learned: MemoryId | None = None


class SaidOfRun(Payload):
    """Feedback as it was given, and by whom."""

    run_id: RunId
    item: MemoryId | None = None
    verdict: Literal["up", "down"] | None = None
    comment: str = ""
    correction: str = ""
    author: str
    at: datetime


class Given(Payload):
    """A run that was given an item: in which version, and what came of it."""

    run_id: RunId
    version: int
    outcome: Literal["helped", "hurt"] | None = None
    at: datetime


class MemoryTrace(Payload):
    """How far an item has reached: what was derived from it, and the runs that were told it."""

    id: MemoryId
    derived: tuple[MemoryId, ...] = ()
    given: tuple[Given, ...] = ()


class Snapshot(Payload):
    """A name for a point in time to which memory can be rolled back."""

    name: Name
    at: datetime
    note: str = ""
    items: int = 0
    scheduled: bool = Field(default=False, description="Taken by the clock, and dropped by it in time.")


class Call(Payload):
    """A call as the ledger has it: what lessons are checked against."""

    step_id: str
    tool: str
    arguments: JsonObject = {}
    ok: bool
    error: str = ""
    message: str = ""
    untrusted: bool = True
    refused: bool = False


class Correction(Payload):
    """What a person did with a question: changed the arguments, or said no."""

    step_id: str = ""
    tool: str = ""
    before: JsonObject = {}
    after: JsonObject | None = None
    comment: str = ""
    approver: str = ""


class Evidence(Payload):
    """All that a lesson of a run may rest on."""

    calls: tuple[Call, ...] = ()
    corrections: tuple[Correction, ...] = ()
    alert: str = Field(default="", description="The alert the run answered, where it was said.")
