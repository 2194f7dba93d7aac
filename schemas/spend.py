"""What calls of models cost: claimed before each, settled behind it, under ceilings."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from schemas.base import Name, Payload, Request, RunId
from schemas.chat import TaskClass, TokenUsage
from schemas.routing import Errand, RouteDecision


class SpendClaim(Payload):
    """What a call may cost, claimed before it is made."""

    call_id: str
    errand: Errand
    deployment: Name
    model: str
    amount_usd: float = Field(ge=0)
    priced: bool = True
    attempt: int = Field(default=0, description="Which place in the order of fallbacks.")
    lapses_after_s: float = Field(
        default=3600, gt=0, description="By then it is settled, or whoever claimed it is dead."
    )
    decision: RouteDecision


class CallOutcome(Payload):
    """What a call did cost, and what became of it."""

    ok: bool
    cost_usd: float = 0
    usage: TokenUsage = TokenUsage()
    latency_ms: float = 0
    model: str = ""
    failure: str = ""


class SpendLimit(Payload):
    """A ceiling on what models may cost. Limits of a run stand in the run itself."""

    scope: Literal["agent", "tenant"]
    subject: Name
    period: Literal["day", "total"] = "day"
    limit_usd: float = Field(ge=0)


class AgentSpendLimit(Request):
    """How much models may cost an agent. A tenant's own limit is its operator's to set."""

    agent: Name
    period: Literal["day", "total"] = "day"
    limit_usd: float = Field(ge=0)


class SpendView(Payload):
    """What was spent in a scope, and what is reserved by calls under way."""

    scope: Literal["run", "agent", "tenant"]
    subject: str
    period: str
    spent_usd: float = 0
    reserved_usd: float = 0
    limit_usd: float | None = None


class ModelCall(Payload):
    """One row of the spend ledger, as the API tells it."""

    id: str
    run_id: RunId | None = None
    agent: str | None = None
    step_id: str | None = None
    task: TaskClass
    deployment: str
    model: str
    status: Literal["reserved", "settled", "presumed"]
    ok: bool | None = None
    useful: bool | None = Field(default=None, description="Whether the answer could be used for its task.")
    attempt: int = 0
    reserved_usd: float
    cost_usd: float | None = None
    usage: TokenUsage = TokenUsage()
    latency_ms: float | None = None
    failure: str = ""
    decision: RouteDecision
    created_at: datetime
