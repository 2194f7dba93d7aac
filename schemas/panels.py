"""Panels: one question to several voices, and what they agree on."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints, model_validator

from schemas.base import Labels, Name, Payload, Request, RunId, strictly


class PanelMethod(StrEnum):
    """How several answers become one."""

    AGREEMENT = "agreement"
    VOTE = "vote"
    RUBRIC = "rubric"
    DEBATE = "debate"
    WEIGHTED = "weighted"


Question = Annotated[str, StringConstraints(min_length=1, max_length=8000, strip_whitespace=True)]
Choice = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Voice(Payload):
    """One who answers: a model, a role, or a model in a role."""

    name: Name | None = Field(
        default=None, description="How it is called in the result; numbered if not said."
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="A configured model or deployment; else one of those that serve panels, in turn.",
    )
    role: str = Field(
        default="", max_length=4000, description="Who it is to be, as 'You are a database operator.'"
    )


class PanelTerms(BaseModel):
    """Who is asked, how one answer is found, and what there must be for it to count."""

    voices: tuple[Voice, ...] = Field(
        default=(), max_length=15, description="None: every model that serves panels, once."
    )
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
    voice_timeout_s: float = Field(
        default=60, gt=0, le=600, description="For each voice, each time it is asked."
    )
    max_output_tokens: int = Field(
        default=1024, ge=64, le=16_384, description="For each voice, each time it is asked."
    )
    budget_usd: float | None = Field(
        default=None, ge=0, description="For the whole panel; what would pass it is not asked."
    )


class Escalation(BaseModel):
    """What happens where too few voices live, or they agree too little."""

    escalate: Literal["human", "fail", "none"] = Field(
        default="human",
        description="Ask people; or fail; or go on with the leading answer, `consensus` being false.",
    )
    group: Name = Field(default="operators", description="Who is asked then.")
    quorum: int = Field(default=1, ge=1, le=10)
    expires_s: float = Field(default=86_400 * 7, gt=0, le=86_400 * 90)


class PanelRequest(PanelTerms, Payload):
    """One sitting: what is asked of whom."""

    question: str = Field(min_length=1, max_length=8000)
    context: str = Field(
        default="", max_length=100_000, description="Material for the voices; never an instruction."
    )


class ConsensusRequest(PanelTerms, Escalation, Request):
    """The body of POST /v1/consensus."""

    question: Question = Field(examples=["May web-3 be rebooted now?"])
    context: str = Field(
        default="", max_length=100_000, description="Material for the voices; never an instruction."
    )
    agent: Name = Field(default="operator", description="On whose budget they are asked.")
    environment: Name = "dev"
    labels: Labels = {}
    voices: tuple[Annotated[Voice, strictly(Voice)], ...] = Field(
        default=(), max_length=15, description="None: every model that serves panels, once."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "ConsensusRequest":
        for problem in misfits(self):
            raise ValueError(problem)
        return self


def misfits(terms: PanelTerms) -> Iterator[str]:
    """What cannot be meant, each as a sentence."""
    if terms.method is PanelMethod.VOTE and len(terms.choices) < 2:
        yield "a vote needs at least two choices"
    if _repeated(terms.choices):
        yield "a choice is given twice"
    if _repeated([voice.name for voice in terms.voices if voice.name]):
        yield "two voices have one name"
    if terms.voices and terms.live_floor > len(terms.voices):
        yield f"live_floor asks for {terms.live_floor} voices and the panel has {len(terms.voices)}"
    if terms.method is PanelMethod.RUBRIC and len(terms.voices) == 1:
        yield "one voice alone has nobody to rank it"


def _repeated(values: Sequence[str]) -> bool:
    return len(set(values)) != len(values)


class VoiceAnswer(Payload):
    """What one voice said at last, what it cost, and how long it took."""

    voice: Name
    deployment: str
    role: str = ""
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
    threshold: float = 0
    breakdown: dict[str, float] = {}
    voices: tuple[VoiceAnswer, ...] = ()
    dissent: tuple[str, ...] = Field(
        default=(), description="What the voices said that do not stand with it."
    )
    rounds: int = 1
    live: int = 0
    escalate: bool = Field(
        default=False, description="There is no consensus: too few voices, or they agree too little."
    )
    reason: str = ""
    cost_usd: float = 0
    latency_ms: float = 0
    created_at: datetime | None = None


class ConveneRequest(Payload):
    """Have a panel sit, once: asking again under the same id finds what was said."""

    id: str
    tenant: Name
    run_id: RunId
    step_id: str
    agent: Name
    run_limit_usd: float | None = None
    panel: PanelRequest


class Consensus(Payload):
    """A question that was put to a panel, and where it stands. `id` is the id of its run."""

    id: str
    status: str = Field(description="The run's: `input_required` while people are asked.")
    reason: str = ""
    question: str
    answer: str = ""
    choice: str | None = None
    decided_by: Literal["panel", "human", "nobody"] | None = Field(
        default=None, description="None until it is decided."
    )
    approvers: tuple[str, ...] = ()
    approval_id: str | None = Field(default=None, description="What people are asked, or were.")
    result: PanelResult | None = Field(default=None, description="What the voices said, once they have.")
    created_at: datetime


class PanelAnalytics(Payload):
    """What the panels of a tenant say about its models."""

    panels: int = 0
    escalated: int = 0
    agreement: dict[str, dict[str, float]] = Field(
        default={}, description="Share of the panels both sat on in which two models agreed."
    )
    reliability: dict[str, float] = Field(
        default={}, description="Share of a model's answers that stood with consensus."
    )
    answered: dict[str, float] = Field(
        default={}, description="Share of its questions a model answered in time."
    )
    scores: dict[str, int] = Field(default={}, description="Panels by score, in tenths.")
    panels_by_method: dict[str, int] = {}
    cost_by_method: dict[str, float] = Field(default={}, description="Mean cost of one panel, in US dollars.")
    latency_by_method: dict[str, float] = Field(default={}, description="Median time of a panel, in ms.")
