"""What a person sees of a run while it happens: its events, and pieces of what its models write, folded into steps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.events import EventType, ModelDelta, RunEvent
from schemas.plans import StepState
from schemas.runs import Run, RunStatus

_STATES = {
    EventType.STEP_STARTED: StepState.RUNNING,
    EventType.STEP_WAITING: StepState.WAITING,
    EventType.STEP_RETRYING: StepState.RUNNING,
    EventType.APPROVAL_REQUESTED: StepState.WAITING,
    EventType.TOOL_DISPATCHED: StepState.RUNNING,
    EventType.STEP_SUCCEEDED: StepState.SUCCEEDED,
    EventType.STEP_FAILED: StepState.FAILED,
    EventType.STEP_SKIPPED: StepState.SKIPPED,
    EventType.STEP_DENIED: StepState.DENIED,
    EventType.STEP_CANCELLED: StepState.CANCELLED,
    EventType.EFFECT_UNKNOWN: StepState.UNKNOWN,
}
UNDER_WAY = (StepState.RUNNING, StepState.WAITING, StepState.UNKNOWN)


@dataclass
class StepLine:
    id: str
    title: str = ""
    tool: str = ""
    kind: str = "tool"
    child: str = ""
    state: StepState = StepState.PENDING
    decision: str = ""
    reasons: tuple[str, ...] = ()
    result: str = ""
    calls: int = 0
    started: datetime | None = None
    ended: datetime | None = None

    def seconds(self, now: datetime | None) -> float | None:
        until = self.ended or now
        return (
            None
            if self.started is None or until is None
            else max(0.0, (until - self.started).total_seconds())
        )


@dataclass
class RunView:
    """The run as far as its events tell, and the runs that it delegated."""

    goal: str
    run_id: str
    status: RunStatus = RunStatus.QUEUED
    started: datetime | None = None
    now: datetime | None = None
    steps: dict[str, StepLine] = field(default_factory=dict)
    children: dict[str, "RunView"] = field(default_factory=dict)
    draft: list[StepLine] = field(default_factory=list)
    written: int = 0
    waits_for: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    answer: str = ""
    reason: str = ""
    spend_usd: float = 0

    @classmethod
    def of(cls, run: Run) -> "RunView":
        """Before its story is told: what it cost is told again with that."""
        return cls(goal=run.goal, run_id=run.id, status=run.status)

    def show(self, delta: ModelDelta) -> None:
        """What a model is writing: a plan's steps as soon as each is whole, or how far its text has come; an answer's
        words as they come."""
        if delta.task == "answer":
            self.answer = delta.text if delta.restart else self.answer + delta.text
            return
        if delta.restart:
            self.draft, self.written = [], 0
        self.written += len(delta.text)
        if delta.step is not None:
            line = StepLine(str(delta.step.get("id", "")))
            _name(line, delta.step)
            self.draft.append(line)

    def take(self, event: RunEvent) -> None:
        self.started = self.started or event.at
        self.now = event.at
        self._take_run(event)
        if event.step_id:
            self._take_step(event, self._step(event.step_id))

    def waiting(self) -> Mapping[str, str]:
        """What waits for a person, here and in the runs below."""
        below = [child.waiting() for child in self.children.values()]
        return {**self.waits_for, **{key: what for each in below for key, what in each.items()}}

    def cost(self) -> float:
        return self.spend_usd + sum(child.cost() for child in self.children.values())

    def _take_run(self, event: RunEvent) -> None:
        data = event.data
        self.notes += [note for note in data.get("notes", ()) if note not in self.notes]
        match event.type:
            case EventType.RUN_STARTED:
                self.status = RunStatus.RUNNING
            case EventType.RUN_STATUS | EventType.RUN_ENDED:
                self.status = RunStatus(data["status"])
                self.reason = str(data.get("reason", ""))
                if self.status.ended:
                    self._end(event.at)
            case EventType.PLAN_ACCEPTED:
                self._take_plan(data["plan"])
            case EventType.RUN_ANSWER:
                self.answer = str(data.get("answer", ""))
            case EventType.APPROVAL_REQUESTED:
                self.waits_for[data["approval_id"]] = data.get("summary", {}).get("what", "")
            case EventType.APPROVAL_DECIDED if data.get("status") != "pending":
                self.waits_for.pop(data.get("approval_id", ""), None)
            case EventType.APPROVAL_EXPIRED | EventType.APPROVAL_WITHDRAWN:
                self.waits_for.pop(data.get("approval_id", ""), None)
            case EventType.PLAN_PROPOSED | EventType.MEMORY_RECALLED if data.get("note"):
                self.notes.append(str(data["note"]))
            case EventType.MODEL_CALLED:
                self.written = 0
                self.spend_usd += float(data.get("cost_usd") or data.get("spend_usd") or 0)
            case _:
                pass

    def _end(self, at: datetime) -> None:
        """What is still open when the run ends was left so."""
        self.waits_for.clear()
        for line in self.steps.values():
            if line.state in UNDER_WAY and line.state is not StepState.UNKNOWN:
                line.state, line.ended = StepState.CANCELLED, at

    def _take_plan(self, plan: dict[str, Any]) -> None:
        """Steps of an earlier plan that were done stay; those that this one left out are gone."""
        planned = {step["id"]: step for step in plan.get("steps", ())}
        self.draft, self.written = [], 0
        done = {key: line for key, line in self.steps.items() if line.state is not StepState.PENDING}
        self.steps = {**done, **{key: self._step(key) for key in planned}}
        for key, step in planned.items():
            _name(self.steps[key], step)

    def _take_step(self, event: RunEvent, line: StepLine) -> None:
        data = event.data
        line.state = _STATES.get(event.type, line.state)
        line.title = data.get("title") or line.title
        line.tool = data.get("tool") or line.tool
        if event.type == EventType.STEP_STARTED:
            line.child = str(data.get("run_id", ""))
            line.started, line.ended = event.at, None
        elif line.state not in (StepState.PENDING, *UNDER_WAY):
            line.ended = line.ended or event.at
        if event.type in (EventType.VERDICT, EventType.VERDICT_HELD):
            line.decision = str(data.get("decision", ""))
            line.reasons = tuple(reason.get("message", "") for reason in data.get("reasons", ()))
            if data.get("may_settle"):
                line.decision, line.reasons = "unclear", (f"a {data['may_settle']} is asked",)
        elif event.type == EventType.TOOL_FINISHED:
            line.calls += 1
            line.result = str(data.get("outcome", {}).get("summary", ""))
        if data.get("error"):
            line.result = str(data["error"].get("message", ""))

    def _step(self, step_id: str) -> StepLine:
        return self.steps.setdefault(step_id, StepLine(step_id))


def _name(line: StepLine, step: Mapping[str, Any]) -> None:
    """What a plan says of a step."""
    line.kind = str(step.get("kind", "tool"))
    line.title = str(
        step.get("title") or step.get("message") or step.get("goal") or step.get("question") or line.title
    )
    line.tool = str(step.get("tool") or step.get("agent") or line.kind)
