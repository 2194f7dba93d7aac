"""The moves of an agent that observes and acts, read back from its story while there is no plan that lists them."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from schemas.base import JsonObject
from schemas.plans import Plan, PlanSource, Step

_STEP: TypeAdapter[Step] = TypeAdapter(Step)
_ALONE = ""


def as_told(step: Step) -> JsonObject:
    """The move, as the event has it that tells of its start."""
    return {"kind": step.kind, **step.model_dump(mode="json", exclude_defaults=True)}


class Moves:
    """A model whose worker died may have thought twice of one move: the one whose call went out is the move, else the last."""

    def __init__(self) -> None:
        self._thought: dict[str, dict[str, Step]] = {}
        self._out: set[str] = set()

    def started(self, step_id: str, data: Mapping[str, Any]) -> None:
        if data.get("move") is not None and step_id not in self._out:
            step = _STEP.validate_python(data["move"])
            self._thought.setdefault(step_id, {}).pop(data.get("digest", _ALONE), None)
            self._thought[step_id][data.get("digest", _ALONE)] = step

    def dispatched(self, step_id: str, digest: str) -> None:
        if digest in self._thought.get(step_id, {}):
            self._thought[step_id] = {digest: self._thought[step_id][digest]}
            self._out.add(step_id)

    def behind(self, plan: Plan | None) -> Plan | None:
        """The plan with the moves that it has not yet; without either, none."""
        if not self._thought or (plan is not None and plan.source is not PlanSource.REACT):
            return plan
        plan = plan or Plan(steps=(), source=PlanSource.REACT)
        known = {step.id for step in plan.steps}
        more = (
            list(thought.values())[-1] for step_id, thought in self._thought.items() if step_id not in known
        )
        return plan.model_copy(update={"steps": (*plan.steps, *more)})
