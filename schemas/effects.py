"""The ledger: one row for every action that was dispatched to the world."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from schemas.base import Digest, JsonObject, Name, Payload, RunId
from schemas.tools import EffectClass, ToolResult


class EffectStatus(StrEnum):
    DISPATCHED = "dispatched"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


Resolution = Literal["happened", "did_not_happen"]


class Effect(Payload):
    tenant: Name
    run_id: RunId
    step_id: str
    action_digest: Digest
    tool: str
    tool_version: str
    effect_class: EffectClass
    environment: Name
    arguments: JsonObject
    status: EffectStatus
    result: ToolResult | None = None
    resolution: Resolution | None = None
    resolved_by: str | None = None
    approval_id: str | None = None
    attempts: int = 1
    dispatched_at: datetime
    observed_at: datetime | None = None
