"""Events: the story of a run, gapless, each line written exactly once."""

import json
from datetime import datetime
from enum import StrEnum
from typing import Literal

from schemas.base import JsonObject, Name, Payload, RunId


class EventType(StrEnum):
    RUN_CREATED = "run.created"
    RUN_STARTED = "run.started"
    RUN_STATUS = "run.status"
    RUN_MESSAGE = "run.message"
    RUN_INSTRUCTION = "run.instruction"
    RUN_EVENT = "run.event"
    RUN_ANSWER = "run.answer"
    RUN_ENDED = "run.ended"
    PLAN_PROPOSED = "plan.proposed"
    PLAN_CHECKED = "plan.checked"
    PLAN_REJECTED = "plan.rejected"
    PLAN_ACCEPTED = "plan.accepted"
    STEP_STARTED = "step.started"
    STEP_WAITING = "step.waiting"
    STEP_RETRYING = "step.retrying"
    STEP_SUCCEEDED = "step.succeeded"
    STEP_FAILED = "step.failed"
    STEP_SKIPPED = "step.skipped"
    STEP_DENIED = "step.denied"
    STEP_CANCELLED = "step.cancelled"
    VERDICT = "verdict.given"
    VERDICT_HELD = "verdict.held"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_DECIDED = "approval.decided"
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_WITHDRAWN = "approval.withdrawn"
    APPROVAL_ESCALATED = "approval.escalated"
    APPROVAL_DELEGATED = "approval.delegated"
    APPROVAL_UNFOUNDED = "approval.unfounded"
    APPROVAL_IDLE = "approval.idle"
    TOOL_DISPATCHED = "tool.dispatched"
    TOOL_FINISHED = "tool.finished"
    EFFECT_UNKNOWN = "effect.unknown"
    EFFECT_RESOLVED = "effect.resolved"
    MODEL_CALLED = "model.called"
    MODEL_REFUSED = "model.refused"
    MEMORY_RECALLED = "memory.recalled"
    MEMORY_LEARNED = "memory.learned"


TERMINAL_EVENT = EventType.RUN_ENDED
"""After it, a stream of the run closes. A resumed run goes on with `run.started`."""


class NewEvent(Payload):
    """An event about to be told. `key` is unique in its run: telling it again changes nothing."""

    key: str
    type: EventType
    step_id: str | None = None
    data: JsonObject = {}


class RunEvent(Payload):
    """An event as it was told."""

    tenant: Name
    run_id: RunId
    seq: int
    type: EventType
    step_id: str | None = None
    data: JsonObject = {}
    at: datetime


class ModelDelta(Payload):
    """A piece of what a model is writing: shown to who follows the run at that moment, and kept nowhere. One of
    `text`, `step` (a whole step of the plan) and `restart` (what was shown is void: the model begins anew). `task` says
    what it writes."""

    type: Literal["model.delta"] = "model.delta"
    run_id: RunId
    task: Literal["plan", "answer"] = "plan"
    text: str = ""
    step: JsonObject | None = None
    restart: bool = False

    @classmethod
    def of(cls, run_id: str, data: str) -> "ModelDelta":
        """Of what a notification carries: a JSON object with one of the three."""
        return cls.model_validate({**json.loads(data), "run_id": run_id})
