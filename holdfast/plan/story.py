"""A run's state, read back from its story: what a resume or a fork starts from, and what the API shows of its steps."""

from collections.abc import Iterable

from holdfast.plan.progress import open_again, still_to_do
from schemas.events import EventType, RunEvent
from schemas.plans import Plan, PlanSource, StepState
from schemas.runs import RunState, StepOutcome, StepView
from schemas.tools import ToolError

_ENDS = {
    EventType.STEP_SUCCEEDED: StepState.SUCCEEDED,
    EventType.STEP_FAILED: StepState.FAILED,
    EventType.STEP_DENIED: StepState.DENIED,
    EventType.STEP_SKIPPED: StepState.SKIPPED,
    EventType.STEP_CANCELLED: StepState.CANCELLED,
    EventType.STEP_STARTED: StepState.RUNNING,
    EventType.STEP_WAITING: StepState.WAITING,
    EventType.STEP_RETRYING: StepState.RUNNING,
}


class StoryReader:
    """Folds events, in order, into the state of the run."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.generation = 0
        self.outcomes: dict[str, StepOutcome] = {}
        self.items: dict[str, dict[int, StepOutcome]] = {}
        self.tool_s = 0.0
        self._views: dict[str, StepView] = {}

    def read(self, events: Iterable[RunEvent]) -> "StoryReader":
        for event in events:
            self._read(event)
        return self

    def state(self) -> RunState:
        """The state a new execution of this run starts from: what succeeded stays, the rest is open again."""
        kept = {StepState.SUCCEEDED, StepState.SKIPPED}
        if self.plan is not None and self.plan.source is PlanSource.REACT:
            kept |= {
                StepState.FAILED,
                StepState.DENIED,
                StepState.CANCELLED,
            }  # the agent has seen how it went
        outcomes = {
            name: outcome if outcome.state in kept else still_to_do(outcome)
            for name, outcome in self.outcomes.items()
        }
        return RunState(
            plan=self.plan,
            accepted=self.plan is not None,
            outcomes=outcomes,
            items={
                name: open_again(items)
                for name, items in self.items.items()
                if name not in outcomes or outcomes[name].state is StepState.PENDING
            },
            tool_s=self.tool_s,
            steps_done=sum(outcome.state in kept for outcome in outcomes.values()),
            generation=self.generation + 1,
        )

    def steps(self) -> list[StepView]:
        """The steps of the plan, in its order, each with the last word on it."""
        if self.plan is None:
            return list(self._views.values())
        views = []
        for step in self.plan.steps:
            known = self._views.get(step.id)
            views.append(
                StepView(
                    id=step.id,
                    kind=step.kind,
                    title=step.title,
                    tool=step.tool if step.kind == "tool" else None,
                    depends_on=step.depends_on,
                    state=known.state if known else StepState.PENDING,
                    outcome=self.outcomes.get(step.id),
                    started_at=known.started_at if known else None,
                    ended_at=known.ended_at if known else None,
                )
            )
        return views

    def _read(self, event: RunEvent) -> None:
        if event.type is EventType.PLAN_ACCEPTED:
            self.plan = Plan.model_validate(event.data["plan"])
        elif event.type is EventType.RUN_STARTED:
            self.generation = int(event.data.get("generation", 0))
        elif event.type is EventType.TOOL_FINISHED and event.step_id:
            self._called(event, event.step_id)
        elif event.type is EventType.RUN_MESSAGE and event.data.get("state") == StepState.SUCCEEDED:
            self._undone(event.data.get("undone", ""), event.data.get("item"))
        elif event.type in _ENDS and event.step_id:
            self._changed(event, event.step_id, _ENDS[event.type])

    def _undone(self, step_id: str, item: int | None) -> None:
        """What was undone is still to be done, should the run be taken up again."""
        if step_id in self.outcomes:
            self.outcomes[step_id] = still_to_do(self.outcomes[step_id])
        if item is not None and item in self.items.get(step_id, {}):
            self.items[step_id][item] = still_to_do(self.items[step_id][item])

    def _called(self, event: RunEvent, step_id: str) -> None:
        outcome = StepOutcome.model_validate(event.data["outcome"])
        self.tool_s += event.data.get("duration_ms", 0) / 1000
        if event.data.get("item") is None:
            self.outcomes[step_id] = outcome
        else:
            self.items.setdefault(step_id, {})[int(event.data["item"])] = outcome

    def _changed(self, event: RunEvent, step_id: str, state: StepState) -> None:
        before = self.outcomes.get(step_id, StepOutcome(state=state))
        if "outcome" in event.data:
            self.outcomes[step_id] = StepOutcome.model_validate(event.data["outcome"])
        else:
            error = event.data.get("error")
            self.outcomes[step_id] = before.model_copy(
                update={
                    "state": state,
                    "error": ToolError.model_validate(error) if error else before.error,
                    "attempts": max(before.attempts, _attempts_ended(event)),
                }
            )
        view = self._views.get(step_id, StepView(id=step_id, kind="tool", started_at=event.at))
        self._views[step_id] = view.model_copy(
            update={"state": state, "ended_at": event.at if state.ended else None}
        )


def _attempts_ended(event: RunEvent) -> int:
    """An attempt that only began, or of which nobody knows how it ended, is to be asked about again under its number."""
    return 0 if event.type is EventType.STEP_STARTED else int(event.data.get("attempt", 0))
