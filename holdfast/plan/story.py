"""A run's state, read back from its story: what a resume or a fork starts from, and what the API shows of its steps."""

from collections.abc import Iterable

from holdfast.plan.moves import Moves
from holdfast.plan.progress import open_again, still_to_do
from holdfast.plan.tales import IN_DOUBT
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
    """Folds events, in order, into the state of the run. `begun` is what it was begun with: a fork has the past of another
    run, which its own story does not tell."""

    def __init__(self, begun: RunState | None = None) -> None:
        begun = begun or RunState()
        self._accepted: Plan | None = begun.plan if begun.accepted else None
        self._moves = Moves()
        self._swayed = dict.fromkeys(begun.swayed, True)
        self.generation = 0
        self.outcomes: dict[str, StepOutcome] = dict(begun.outcomes)
        self.items: dict[str, dict[int, StepOutcome]] = {
            name: dict(items) for name, items in begun.items.items()
        }
        self.tool_s = begun.tool_s
        self._views: dict[str, StepView] = {}

    @property
    def plan(self) -> Plan | None:
        return self._moves.behind(self._accepted)

    @property
    def swayed(self) -> tuple[str, ...]:
        """The steps that are, as each of them was told; what has not begun is what its plan is."""
        plan = self.plan
        if plan is None:
            return ()
        return tuple(step.id for step in plan.steps if self._swayed.get(step.id, plan.swayed))

    def read(self, events: Iterable[RunEvent]) -> "StoryReader":
        for event in events:
            self._read(event)
        return self

    def state(self) -> RunState:
        """The state a new execution of this run starts from: what succeeded stays, the rest is open again."""
        kept, plan = {StepState.SUCCEEDED, StepState.SKIPPED}, self.plan
        if plan is not None and plan.source is PlanSource.REACT:
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
            plan=plan,
            accepted=plan is not None,
            outcomes=outcomes,
            items={
                name: open_again(items)
                for name, items in self.items.items()
                if name not in outcomes or outcomes[name].state is StepState.PENDING
            },
            swayed=self.swayed,
            tool_s=self.tool_s,
            steps_done=sum(outcome.state in kept for outcome in outcomes.values()),
            generation=self.generation + 1,
        )

    def steps(self) -> list[StepView]:
        """The steps of the plan, in its order, each with the last word on it."""
        plan, views = self.plan, []
        if plan is None:
            return list(self._views.values())
        for step in plan.steps:
            known, outcome = self._views.get(step.id), self.outcomes.get(step.id)
            before = outcome.state if outcome else StepState.PENDING
            views.append(
                StepView(
                    id=step.id,
                    kind=step.kind,
                    title=step.title,
                    tool=step.tool if step.kind == "tool" else None,
                    depends_on=step.depends_on,
                    state=known.state if known else before,
                    outcome=outcome,
                    started_at=known.started_at if known else None,
                    ended_at=known.ended_at if known else None,
                )
            )
        return views

    def _read(self, event: RunEvent) -> None:
        if event.type is EventType.PLAN_ACCEPTED:
            self._accepted = Plan.model_validate(event.data["plan"])
        elif event.type is EventType.RUN_STARTED:
            self.generation = int(event.data.get("generation", 0))
        elif event.type is EventType.TOOL_FINISHED and event.step_id:
            self._called(event, event.step_id)
        elif event.type is EventType.RUN_MESSAGE and "undone" in event.data:
            if event.data.get("state") == StepState.SUCCEEDED:
                self._undone(event.data["undone"], event.data.get("item"))
        elif event.type is EventType.RUN_MESSAGE and event.step_id and "item" in event.data:
            self._item_ended(event, event.step_id)
        elif event.type is EventType.TOOL_DISPATCHED and event.step_id:
            self._moves.dispatched(event.step_id, str(event.data.get("digest")))
        elif event.type in _ENDS and event.step_id:
            self._changed(event, event.step_id, _ENDS[event.type])

    def _undone(self, step_id: str, item: int | None) -> None:
        """What was undone is still to be done, should the run be taken up again."""
        if step_id in self.outcomes:
            self.outcomes[step_id] = still_to_do(self.outcomes[step_id])
        if item is not None and item in self.items.get(step_id, {}):
            self.items[step_id][item] = still_to_do(self.items[step_id][item])

    def _item_ended(self, event: RunEvent, step_id: str) -> None:
        """Without a call: denied, refused, or a person said that it did not happen."""
        state, attempts = StepState(event.data["state"]), int(event.data["attempt"])
        items = self.items.setdefault(step_id, {})
        items[int(event.data["item"])] = StepOutcome(state=state, attempts=attempts)

    def _called(self, event: RunEvent, step_id: str) -> None:
        outcome = StepOutcome.model_validate(event.data["outcome"])
        self.tool_s += event.data.get("duration_ms", 0) / 1000
        if event.data.get("item") is None:
            self.outcomes[step_id] = outcome
        else:
            self.items.setdefault(step_id, {})[int(event.data["item"])] = outcome

    def _changed(self, event: RunEvent, step_id: str, state: StepState) -> None:
        if event.type is EventType.STEP_STARTED:
            self._moves.started(step_id, event.data)
            self._swayed[step_id] = bool(event.data.get("swayed"))
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


def handed_on(state: RunState) -> RunState:
    """What another agent begins with that is to do the rest: every move, each with an end. It has limits of its own."""
    ended = {name: outcome if outcome.state.ended else _IN_DOUBT for name, outcome in state.outcomes.items()}
    steps = state.plan.steps if state.plan else ()
    missing = {step.id: _IN_DOUBT for step in steps if step.id not in ended}
    return RunState(
        plan=state.plan, accepted=state.accepted, outcomes={**ended, **missing}, swayed=state.swayed
    )


_IN_DOUBT = StepOutcome(
    state=StepState.FAILED,
    error=ToolError(
        code=IN_DOUBT, message="Nobody saw how this ended.", remedy="Look, before it is done again."
    ),
)


def _attempts_ended(event: RunEvent) -> int:
    """An attempt that only began, or of which nobody knows how it ended, is to be asked about again under its number."""
    return 0 if event.type is EventType.STEP_STARTED else int(event.data.get("attempt", 0))
