"""One call of a model: on whose behalf it is made, and where it goes."""

from typing import Literal

from pydantic import Field

from schemas.base import Name, Payload, RunId
from schemas.chat import TaskClass


class Complexity(Payload):
    """How hard a task looks, between 0 and 1, and why."""

    score: float = 0
    parts: dict[str, float] = {}

    @property
    def strength(self) -> int:
        return min(5, 1 + int(self.score * 5))


class Candidate(Payload):
    deployment: Name
    cost_usd: float | None
    why: str = ""


class Exclusion(Payload):
    deployment: Name
    code: Literal["withdrawn", "unpriced", "cost", "latency", "context", "residency", "breaker", "experiment"]
    why: str


class RouteDecision(Payload):
    """Where a call goes, in order, and why; stored with the call."""

    task: TaskClass
    order: tuple[Candidate, ...] = ()
    excluded: tuple[Exclusion, ...] = ()
    complexity: Complexity = Complexity()
    experiment: str | None = None
    arm: str | None = None


class Errand(Payload):
    """On whose behalf, and for what, a model is called."""

    tenant: Name
    task: TaskClass
    run_id: RunId | None = None
    agent: Name | None = None
    step_id: str | None = None
    prefer: str | None = Field(default=None, description="A deployment, or a model, to ask first.")
    only: Name | None = Field(default=None, description="The one deployment to ask, without fallback.")
    run_limit_usd: float | None = None
    complexity: Complexity = Complexity()
