"""What the API tells of a run beside its row: verdicts as they stand, and what was spent."""

from datetime import datetime

from pydantic import Field

from schemas.actions import Action
from schemas.base import Payload, RunId
from schemas.verdicts import Verdict


class VerdictView(Payload):
    """A verdict with the action it is on."""

    step_id: str
    action: Action
    verdict: Verdict
    created_at: datetime


class ModelCost(Payload):
    """What one model was used for."""

    model: str
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0


class StepCost(Payload):
    """What one step took of models and tools."""

    step_id: str
    model_calls: int = 0
    cost_usd: float = 0
    tool_calls: int = 0
    tool_s: float = 0


class RunCost(Payload):
    run_id: RunId
    spend_usd: float = 0
    tool_calls: int = 0
    tool_s: float = 0
    models: tuple[ModelCost, ...] = ()
    steps: tuple[StepCost, ...] = Field(
        default=(), description="Planning and the answer belong to no step, and are not in here."
    )
