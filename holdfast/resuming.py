"""The state from which a run is taken up again, as somebody wants it: mended, or with some of it open again."""

from holdfast.errors import InvalidInput
from holdfast.plan.graph import dependencies
from schemas.base import JsonObject
from schemas.commands import ResumeCommand
from schemas.plans import Plan, PlanSource, StepState
from schemas.runs import RunState, StepOutcome


def mended(state: RunState, command: ResumeCommand) -> RunState:
    """The state with what the command changes: a new plan, other arguments, or a step that is to be skipped."""
    if command.plan is not None:
        known = {step.id for step in command.plan.steps}
        kept = {name: outcome for name, outcome in state.outcomes.items() if name in known}
        state = state.model_copy(
            update={"plan": command.plan, "accepted": False, "outcomes": kept, "swayed": ()}
        )
    if command.step is None:
        return state
    _step(state.plan, command.step)
    if command.skip:
        skipped = {**state.outcomes, command.step: StepOutcome(state=StepState.SKIPPED)}
        return state.model_copy(update={"outcomes": skipped, "changed": (command.step,)})
    if command.arguments is not None and state.plan is not None:
        swayed = tuple(name for name in state.swayed if name != command.step)  # the words are a person's now
        plan = _rewritten(state.plan, command.step, command.arguments)
        return state.model_copy(update={"plan": plan, "swayed": swayed, "changed": (command.step,)})
    return state


def reopened(state: RunState, name: str) -> RunState:
    """The state in which this step, and all that depend on it, are still to be done."""
    plan = state.plan
    _step(plan, name)
    assert plan is not None  # noqa: S101 - _step has found a step in it
    if plan.source is PlanSource.REACT:
        return _moved_back(state, plan, name)
    again = _with_dependants(plan, name)
    kept = {step: outcome for step, outcome in state.outcomes.items() if step not in again}
    items = {step: done for step, done in state.items.items() if step not in again}
    return state.model_copy(update={"outcomes": kept, "items": items})


def _moved_back(state: RunState, plan: Plan, name: str) -> RunState:
    """The moves before this one: what to do instead is the agent's to say."""
    place = next(place for place, step in enumerate(plan.steps) if step.id == name)
    kept = plan.steps[:place]
    outcomes = {step.id: state.outcomes[step.id] for step in kept if step.id in state.outcomes}
    return state.model_copy(
        update={"plan": plan.model_copy(update={"steps": kept}), "outcomes": outcomes, "items": {}}
    )


def _with_dependants(plan: Plan, name: str) -> set[str]:
    found: set[str] = set()
    more = {name}
    while more - found:
        found |= more
        more = {step.id for step in plan.steps if found & dependencies(step)}
    return found


def _step(plan: Plan | None, name: str) -> None:
    if plan is None or not any(step.id == name for step in plan.steps):
        raise InvalidInput(f"The plan has no step {name}.", remedy="GET /v1/runs/{id}/steps lists them.")


def _rewritten(plan: Plan, name: str, arguments: JsonObject) -> Plan:
    steps = tuple(
        step.model_copy(update={"arguments": arguments}) if step.id == name and step.kind == "tool" else step
        for step in plan.steps
    )
    return plan.model_copy(update={"steps": steps})
