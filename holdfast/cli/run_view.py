"""What a person sees of a run while it happens: its events folded into steps, drawn as a tree or told line by line."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from holdfast.cli.plain import plain
from schemas.events import EventType, RunEvent
from schemas.plans import StepState
from schemas.runs import Run, RunStatus

_MARKS = {
    StepState.PENDING: ("·", "dim"),
    StepState.RUNNING: ("▸", "cyan"),
    StepState.WAITING: ("⏸", "yellow"),
    StepState.SUCCEEDED: ("✓", "green"),
    StepState.FAILED: ("✗", "red"),
    StepState.SKIPPED: ("↷", "dim"),
    StepState.DENIED: ("⊘", "red"),
    StepState.UNKNOWN: ("?", "yellow"),
    StepState.CANCELLED: ("■", "dim"),
}
_STATES = {
    EventType.STEP_STARTED: StepState.RUNNING,
    EventType.STEP_WAITING: StepState.WAITING,
    EventType.STEP_RETRYING: StepState.RUNNING,
    EventType.STEP_SUCCEEDED: StepState.SUCCEEDED,
    EventType.STEP_FAILED: StepState.FAILED,
    EventType.STEP_SKIPPED: StepState.SKIPPED,
    EventType.STEP_DENIED: StepState.DENIED,
    EventType.STEP_CANCELLED: StepState.CANCELLED,
    EventType.EFFECT_UNKNOWN: StepState.UNKNOWN,
}
_STATUS_STYLE = {
    RunStatus.SUCCEEDED: "green",
    RunStatus.FAILED: "red",
    RunStatus.TIMED_OUT: "red",
    RunStatus.REJECTED: "red",
    RunStatus.INPUT_REQUIRED: "yellow",
    RunStatus.PAUSED: "yellow",
}
_LONGEST = 160


@dataclass
class StepLine:
    id: str
    title: str = ""
    tool: str = ""
    state: StepState = StepState.PENDING
    verdict: str = ""
    result: str = ""


@dataclass
class RunView:
    """The run as far as its events tell."""

    goal: str
    run_id: str
    status: RunStatus = RunStatus.QUEUED
    started: datetime | None = None
    now: datetime | None = None
    steps: dict[str, StepLine] = field(default_factory=dict)
    waits_for: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    answer: str = ""
    reason: str = ""
    spend_usd: float = 0

    @classmethod
    def of(cls, run: Run) -> "RunView":
        return cls(goal=run.goal, run_id=run.id, status=run.status, spend_usd=run.spend_usd)

    def take(self, event: RunEvent) -> None:
        self.started = self.started or event.at
        self.now = event.at
        self._take_run(event)
        if event.step_id:
            self._take_step(event, self._step(event.step_id))

    def _take_run(self, event: RunEvent) -> None:
        data = event.data
        match event.type:
            case EventType.RUN_STARTED:
                self.status = RunStatus.RUNNING
            case EventType.RUN_STATUS | EventType.RUN_ENDED:
                self.status = RunStatus(data["status"])
                self.reason = str(data.get("reason", ""))
            case EventType.PLAN_ACCEPTED:
                self._take_plan(data["plan"])
            case EventType.RUN_ANSWER:
                self.answer = str(data.get("answer", ""))
            case EventType.APPROVAL_REQUESTED:
                self.waits_for[data["approval_id"]] = data.get("summary", {}).get("what", "")
            case EventType.APPROVAL_DECIDED if data.get("status") != "pending":
                self.waits_for.pop(data.get("approval_id", ""), None)
            case EventType.APPROVAL_EXPIRED:
                self.waits_for.pop(data.get("approval_id", ""), None)
            case EventType.PLAN_PROPOSED | EventType.MEMORY_RECALLED if data.get("note"):
                self.notes.append(str(data["note"]))
            case EventType.MODEL_CALLED:
                self.spend_usd += float(data.get("cost_usd") or data.get("spend_usd") or 0)
            case _:
                pass

    def _take_plan(self, plan: dict[str, Any]) -> None:
        for step in plan.get("steps", ()):
            line = self._step(step["id"])
            asked = step.get("message") or step.get("goal") or step.get("question")
            line.title = step.get("title") or asked or line.title
            line.tool = step.get("tool", "") or step.get("kind", "")

    def _take_step(self, event: RunEvent, line: StepLine) -> None:
        data = event.data
        line.state = _STATES.get(event.type, line.state)
        line.title = data.get("title") or line.title
        line.tool = data.get("tool") or line.tool
        if event.type in (EventType.VERDICT, EventType.VERDICT_HELD):
            line.verdict = verdict_text(data)
        elif event.type == EventType.TOOL_FINISHED:
            line.result = short(data.get("outcome", {}).get("summary", ""))
        if data.get("error"):
            line.result = short(data["error"].get("message", ""))

    def _step(self, step_id: str) -> StepLine:
        return self.steps.setdefault(step_id, StepLine(step_id))

    def draw(self, *, now: datetime | None = None) -> RenderableType:
        parts: list[RenderableType] = [self._head(now or self.now), self._tree()]
        parts += [Text(f"  {short(note)}", style="dim") for note in self.notes[-2:]]
        for approval_id, what in self.waits_for.items():
            parts.append(Text(f"  waits for you: {short(what)}", style="yellow"))
            parts.append(Text(f"  holdfast approvals approve {approval_id}", style="yellow"))
        if self.answer:
            parts.append(Text(f"\n{plain(self.answer)}"))
        return Group(*parts)

    def _head(self, now: datetime | None) -> Text:
        head = Text(f"{self.status.value}", style=_STATUS_STYLE.get(self.status, "cyan"))
        head.append(f"  {short(self.goal)}", style="bold")
        if self.started and now:
            head.append(f"  {max(0.0, (now - self.started).total_seconds()):.1f} s", style="dim")
        if self.spend_usd:
            head.append(f"  ${self.spend_usd:.4f}", style="dim")
        if self.reason:
            head.append(f"\n  {short(self.reason)}", style="dim")
        return head

    def _tree(self) -> Tree:
        tree = Tree(Text(self.run_id, style="dim"), guide_style="dim")
        for line in self.steps.values():
            mark, style = _MARKS[line.state]
            text = Text(f"{mark} ", style=style)
            text.append(short(line.title or line.id))
            text.append(f"  {short(line.tool)}", style="dim")
            branch = tree.add(text)
            if line.verdict and not line.verdict.startswith("allow"):
                branch.add(Text(line.verdict, style="yellow"))
            if line.result:
                branch.add(Text(line.result, style="dim"))
        return tree


def told(event: RunEvent) -> str:
    """One event as one line, for logs and pipes."""
    where = f" {event.step_id}" if event.step_id else ""
    words = plain(" ".join(_words(event)))
    return f"{event.at:%H:%M:%S} {event.seq:>4} {event.type.value}{where} {words}".rstrip()


def _words(event: RunEvent) -> list[str]:
    data = event.data
    if event.type in (EventType.VERDICT, EventType.VERDICT_HELD):
        return [str(data.get("tool", "")), verdict_text(data)]
    if event.type == EventType.TOOL_FINISHED:
        outcome = data.get("outcome", {})
        return [
            str(data.get("tool", "")),
            short(outcome.get("summary", "")),
            f"{data.get('duration_ms', 0)} ms",
        ]
    if event.type == EventType.PLAN_ACCEPTED:
        return [f"{len(data['plan'].get('steps', ()))} steps"]
    if event.type == EventType.APPROVAL_REQUESTED:
        return [str(data.get("approval_id", "")), short(data.get("summary", {}).get("what", ""))]
    named = (
        "status",
        "reason",
        "answer",
        "goal",
        "why",
        "note",
        "title",
        "tool",
        "decision",
        "approver",
        "text",
    )
    found = [short(str(data[name])) for name in named if data.get(name)]
    if isinstance(data.get("error"), dict):
        found.append(short(data["error"].get("message", "")))
    return found


def verdict_text(data: dict[str, Any]) -> str:
    if data.get("may_settle"):
        return f"unclear: a {data['may_settle']} is asked"
    reasons = "; ".join(reason.get("message", "") for reason in data.get("reasons", ()))
    return short(f"{data.get('decision', '')}: {reasons}" if reasons else str(data.get("decision", "")))


def short(text: str) -> str:
    line = plain(" ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
