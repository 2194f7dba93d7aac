"""Panels: one question to several voices, and what they agree on."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from schemas.base import Name, Payload, Request, RunId, strictly


class PanelMethod(StrEnum):
    """How several answers become one."""

    AGREEMENT = "agreement"
    VOTE = "vote"
    RUBRIC = "rubric"
    DEBATE = "debate"
    WEIGHTED = "weighted"


Choice = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Voice(Payload):
    """One who answers: a model deployment, perhaps in a role."""

    name: Name
    deployment: Name
    role: str = Field(
        default="", max_length=4000, description="Who it is to be, as 'You are a database operator.'"
    )


class PanelRequest(Request):
    """The body of POST /v1/consensus, and what a panel step asks."""

    question: str = Field(min_length=1, max_length=8000)
    context: str = Field(
        default="", max_length=100_000, description="Material for the voices; never an instruction."
    )
    voices: tuple[Annotated[Voice, strictly(Voice)], ...] = Field(min_length=1, max_length=15)
    method: PanelMethod = PanelMethod.AGREEMENT
    choices: tuple[Choice, ...] = Field(
        default=(), max_length=20, description="The only answers there may be."
    )
    criteria: tuple[Choice, ...] = Field(
        default=("correct", "complete", "safe"), min_length=1, max_length=10, description="For `rubric`."
    )
    rounds: int = Field(default=2, ge=1, le=5, description="For `debate`: how often voices may think again.")
    live_floor: int = Field(
        default=2, ge=1, le=15, description="With fewer voices alive there is no consensus."
    )
    threshold: float = Field(default=0.6, ge=0, le=1, description="A lower score is no consensus.")
    timeout_s: float = Field(default=60, gt=0, le=600, description="For each voice, each time it is asked.")
    max_output_tokens: int = Field(default=1024, ge=64, le=16_384)

    @model_validator(mode="after")
    def _fits_together(self) -> "PanelRequest":
        if self.method is PanelMethod.VOTE and len(self.choices) < 2:
            raise ValueError("a vote needs at least two choices")
        if len({voice.name for voice in self.voices}) != len(self.voices):
            raise ValueError("two voices have one name")
        if self.live_floor > len(self.voices):
            raise ValueError("live_floor is larger than the panel")
        return self


class VoiceAnswer(Payload):
    """What one voice said at last, what it cost, and how long it took."""

    voice: Name
    deployment: Name
    state: Literal["answered", "failed", "late"]
    text: str = ""
    choice: str | None = None
    confidence: float = 0
    weight: float = 1
    agrees: bool = Field(default=False, description="Whether it stands with the consensus.")
    error: str = ""
    cost_usd: float = 0
    latency_ms: float = 0


class PanelResult(Payload):
    id: str
    tenant: Name
    run_id: RunId | None = None
    step_id: str | None = None
    question: str
    method: PanelMethod
    answer: str = ""
    choice: str | None = None
    score: float = Field(default=0, description="Between 0 and 1: how much consensus there is.")
    breakdown: dict[str, float] = {}
    voices: tuple[VoiceAnswer, ...] = ()
    dissent: tuple[str, ...] = Field(
        default=(), description="What the voices said that do not stand with it."
    )
    rounds: int = 1
    live: int = 0
    escalate: bool = Field(default=False, description="A human has to decide.")
    reason: str = ""
    cost_usd: float = 0
    latency_ms: float = 0
    created_at: datetime | None = None


class PanelAnalytics(Payload):
    """What the panels of a tenant say about its models."""

    panels: int = 0
    agreement: dict[str, dict[str, float]] = Field(
        default={}, description="Share of panels in which two agreed."
    )
    reliability: dict[str, float] = Field(
        default={}, description="Share of its answers that stood with consensus."
    )
    scores: dict[str, int] = Field(default={}, description="Panels by score, in tenths.")
    cost_by_method: dict[str, float] = Field(default={}, description="Mean cost of one panel, in US dollars.")
    escalated: int = 0
