"""A run that teaches something, as the tests of memory tell of it."""

from typing import Any

from holdfast.ids import new_id
from schemas.plans import Plan, StepState, ToolStep
from schemas.runs import RunStatus, StepOutcome
from schemas.stages import LearnRequest, RunScope
from schemas.tools import ToolError

TENANT = "default"


def scope_of(tenant: str = TENANT, environment: str = "dev") -> RunScope:
    return RunScope(tenant=tenant, run_id=new_id("run"), agent="operator", environment=environment)


def outcome(ok: bool, *, error: str = "", message: str = "") -> StepOutcome:  # noqa: FBT001 -- reads well below
    state = StepState.SUCCEEDED if ok else StepState.FAILED
    return StepOutcome(state=state, error=ToolError(code=error, message=message) if error else None)


def ended(goal: str, scope: RunScope | None = None, **more: Any) -> LearnRequest:
    """A run in which a restart failed, and worked with `force`."""
    steps = (
        ToolStep(id="first", tool="service.restart", arguments={"name": "web"}),
        ToolStep(id="second", tool="service.restart", arguments={"name": "web", "force": True}),
    )
    outcomes = {"first": outcome(ok=False, error="busy", message="it is busy"), "second": outcome(ok=True)}
    fields = {"plan": Plan(steps=steps), "outcomes": outcomes, "status": RunStatus.SUCCEEDED, **more}
    return LearnRequest.model_validate({"scope": scope or scope_of(), "goal": goal, **fields})
