"""What the domain needs of the world. Activities and routes hold these; adapters fulfil them.

Every write names its tenant through the scope or the object it writes, and is safe to repeat: a second call with the
same natural key changes nothing and answers the same.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

from schemas.actions import Action
from schemas.agents import AgentDraft, AgentSpec
from schemas.approvals import Approval
from schemas.base import Digest, JsonObject
from schemas.effects import Effect
from schemas.events import NewEvent, RunEvent
from schemas.runs import Run, RunInput
from schemas.stages import (
    ActReport,
    ActRequest,
    Answer,
    AnswerRequest,
    AskRequest,
    DoubtRequest,
    JudgeRequest,
    Learned,
    LearnRequest,
    NextMove,
    NextRequest,
    PlanProposal,
    PlanRequest,
    RecallRequest,
    Recollection,
    RecordRequest,
    ResolveRequest,
    RunScope,
)
from schemas.tools import ArtifactRef, Catalogue, EffectClass, ToolResult, ToolSpec
from schemas.verdicts import Verdict, VerdictRecord


class Story(Protocol):
    """The run's row and its events."""

    async def record(self, request: RecordRequest) -> int:
        """Tell events and change the row; the last sequence number comes back."""
        ...

    async def events(self, tenant: str, run_id: str, *, after: int, limit: int) -> Sequence[RunEvent]: ...


class Dispatch(Protocol):
    """What the ledger says when an action asks to go out."""

    @property
    def outcome(
        self,
    ) -> Literal["go", "done", "in_doubt", "unknown", "held", "refused", "paused", "stale", "over"]: ...
    @property
    def result(self) -> ToolResult | None: ...
    @property
    def why(self) -> str: ...


class Ledger(Protocol):
    """Verdicts and effects: the choke point, as rows."""

    async def give_verdict(self, request: JudgeRequest, record: VerdictRecord) -> Verdict:
        """Store the verdict, unless one for this action stands already; the standing one comes back."""
        ...

    async def give_verdicts(
        self, requests: Sequence[JudgeRequest], records: Sequence[VerdictRecord]
    ) -> Sequence[Verdict]:
        """The same for several, in one transaction."""
        ...

    async def give_verdict_under_way(self, request: JudgeRequest, record: VerdictRecord) -> Verdict | None:
        """As `give_verdict`, for whoever is not the run itself: nothing is told, and None comes back, where the run is
        paused or over by now."""
        ...

    async def perform_under_way(
        self, request: JudgeRequest, record: VerdictRecord, result: ToolResult
    ) -> bool:
        """As `perform`, in the same way: whether it was told."""
        ...

    async def dispatch(self, request: ActRequest, *, effect: EffectClass, worker: str) -> Dispatch:
        """Check the verdict and the approval, and write `dispatched`, in one transaction."""
        ...

    async def observe(self, request: ActRequest, result: ToolResult) -> None:
        """The call has ended: its effect, its events."""
        ...

    async def observe_and_dispatch(
        self,
        request: ActRequest,
        result: ToolResult,
        following: ActRequest,
        *,
        effect: EffectClass,
        worker: str,
    ) -> Dispatch:
        """The end of one call and the start of the next in one transaction: both, or neither."""
        ...

    async def doubt(self, request: ActRequest, why: str) -> None:
        """Nobody saw the end of the call, and it must not be made again: `unknown`."""
        ...

    async def perform(self, done: Sequence[tuple[JudgeRequest, VerdictRecord, ToolResult]]) -> None:
        """The fast lane: verdicts, effects and events of harmless calls in one transaction."""
        ...

    async def resolve(self, request: ResolveRequest) -> None: ...

    async def effects(self, tenant: str, run_id: str) -> Sequence[Effect]: ...


class Approvals(Protocol):
    async def ask(self, request: AskRequest) -> Approval: ...
    async def read(self, tenant: str, approval_id: str) -> Approval: ...
    async def expire(self, tenant: str, approval_id: str) -> Approval: ...
    async def withdraw(self, scope: RunScope, approval_id: str) -> None: ...
    async def doubt(self, request: DoubtRequest) -> None:
        """Tells and audits, once for each key, a word on a decision that the store does not hold."""
        ...


class Artifacts(Protocol):
    async def put(self, scope: RunScope, data: bytes, *, content_type: str) -> ArtifactRef: ...
    async def get(self, tenant: str, digest: Digest) -> bytes: ...


class Guardian(Protocol):
    """Judges. Never raises for what it cannot understand: it asks or denies."""

    async def judge(self, request: JudgeRequest) -> VerdictRecord: ...


class ToolHost(Protocol):
    """Knows the tools and calls them."""

    def catalogue(self) -> Catalogue: ...

    def find(self, name: str, version: str) -> ToolSpec: ...

    async def call(self, action: Action, spec: ToolSpec, *, idempotency_key: str) -> ToolResult: ...

    async def probe(self, action: Action, spec: ToolSpec) -> bool | None:
        """Whether the action has happened; None where nobody can tell."""
        ...


class Planner(Protocol):
    async def plan(self, request: PlanRequest) -> PlanProposal: ...
    async def next(self, request: NextRequest) -> NextMove: ...
    async def answer(self, request: AnswerRequest) -> Answer: ...


class Memory(Protocol):
    async def recall(self, request: RecallRequest) -> Recollection: ...
    async def learn(self, request: LearnRequest) -> Learned: ...


class Agents(Protocol):
    async def read(self, tenant: str, name: str, version: int | None = None) -> AgentSpec: ...
    async def write(self, tenant: str, draft: AgentDraft, *, author: str) -> AgentSpec: ...
    async def newest(self, tenant: str) -> Sequence[AgentSpec]: ...


class Runs(Protocol):
    """The rows the API reads and the row it writes when it accepts a run."""

    async def create(self, run_input: RunInput, *, forked_from: str | None = None) -> Run: ...
    async def read(self, tenant: str, run_id: str) -> Run: ...
    async def start_input(self, tenant: str, run_id: str) -> RunInput: ...
    async def unstarted(self, *, older_than_s: float) -> Sequence[tuple[str, str]]: ...


class EventFeed(Protocol):
    """Tells a process that a run has new events."""

    def follow(self, tenant: str, run_id: str | None) -> AsyncIterator[tuple[str, int]]: ...


__all__ = [
    "ActReport",
    "Agents",
    "Approvals",
    "Artifacts",
    "Dispatch",
    "EventFeed",
    "Guardian",
    "JsonObject",
    "Ledger",
    "Memory",
    "NewEvent",
    "Planner",
    "Runs",
    "Story",
    "ToolHost",
]
