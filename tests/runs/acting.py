"""Who thinks in these tests: a guardian that goes by words, a planner with a script, a memory without memory."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from temporalio import activity

from holdfast.errors import HoldfastError, Misconfigured, Unavailable
from schemas.actions import Action
from schemas.facts import Facts
from schemas.stages import (
    Answer,
    AnswerRequest,
    JudgeRequest,
    Learned,
    LearnRequest,
    NextMove,
    NextRequest,
    PlanProposal,
    PlanRequest,
    RecallRequest,
    Recollection,
)
from schemas.verdicts import ApprovalTerms, Decision, Reason, Verdict, VerdictRecord

BUNDLE = "sha256:" + "0" * 64


@dataclass
class ByName:
    """A guardian for tests: the word in the action's arguments says what the verdict is."""

    terms: ApprovalTerms = field(default_factory=ApprovalTerms)
    forbidden: str = "forbidden"
    held: int = 0
    """How often it still says that a freeze holds the action."""
    wait: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    judged: list[Action] = field(default_factory=list)

    async def judge(self, request: JudgeRequest) -> VerdictRecord:
        self.asked.set()
        self.judged.append(request.action)
        if self.wait is not None:
            await self.wait.wait()
        text = str(request.action.arguments)
        decision = Decision.ALLOW
        if self.forbidden in text:
            decision = Decision.DENY
        elif "delicate" in text:
            decision = Decision.REQUIRE_APPROVAL
        held, self.held = self.held > 0, max(self.held - 1, 0)
        if held:
            decision = Decision.DENY
        reason = Reason(policy="test", effect=decision, message=f"it says {text}"[:80])
        verdict = Verdict(
            action_digest=request.action.digest,
            decision=decision,
            held=held,
            reasons=(reason,),
            bundle=BUNDLE,
            terms=self.terms if decision is Decision.REQUIRE_APPROVAL else None,
        )
        return VerdictRecord(verdict=verdict, facts=Facts(kind="none", safety="unknown"))


Rank = tuple[int | None, str | None]
"""A task's priority and whose share it is taken from."""


def rank() -> Rank:
    """Of the task that this is called in."""
    priority = activity.info().priority
    return priority.priority_key, priority.fairness_key


@dataclass
class Script:
    """A planner for tests: plans and moves in the order they were laid down."""

    plans: list[PlanProposal] = field(default_factory=list)
    moves: list[NextMove] = field(default_factory=list)
    requests: list[PlanRequest | NextRequest] = field(default_factory=list)
    failures: list[HoldfastError] = field(default_factory=list)
    broken_answer: bool = False
    ranks: dict[str, Rank] = field(default_factory=dict)
    wait: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def _thinks(self) -> None:
        """It takes its time, where a test wants that; it can be cancelled meanwhile."""
        self.asked.set()
        while self.wait is not None and not self.wait.is_set():
            activity.heartbeat()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wait.wait(), 0.1)

    async def plan(self, request: PlanRequest) -> PlanProposal:
        self.requests.append(request)
        await self._thinks()
        self.ranks["plan"] = rank()
        if self.failures:
            raise self.failures.pop(0)
        return self.plans.pop(0)

    async def next(self, request: NextRequest) -> NextMove:
        self.requests.append(request)
        await self._thinks()
        self.ranks["next"] = rank()
        return self.moves.pop(0)

    async def answer(self, request: AnswerRequest) -> Answer:
        self.ranks["answer"] = rank()
        if self.broken_answer:
            raise Misconfigured("no answer can be given")
        done = ", ".join(
            sorted(name for name, outcome in request.outcomes.items() if outcome.state == "succeeded")
        )
        return Answer(text=f"done: {done}")


@dataclass
class Forgetful:
    """A memory without memory: it only knows what it was asked, and what a test lays down."""

    recalled: Recollection = field(default_factory=Recollection)
    asked: list[RecallRequest] = field(default_factory=list)
    is_away: bool = False
    wait: asyncio.Event | None = None
    learning: asyncio.Event = field(default_factory=asyncio.Event)

    async def recall(self, request: RecallRequest) -> Recollection:
        self.asked.append(request)
        if self.is_away:
            raise Unavailable("The memory is away.")
        return self.recalled

    async def learn(self, request: LearnRequest) -> Learned:
        self.learning.set()
        if self.is_away:
            raise Unavailable("The memory is away.")
        if self.wait is not None:
            await self.wait.wait()
        return Learned()
