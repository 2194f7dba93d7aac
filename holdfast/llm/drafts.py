"""What models write: flat and forgiving where it costs nothing, then read into the exact words of a plan.

A draft names its sources by the labels of the prompt ("K1"), so a model can cite what it was shown and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from schemas.base import JsonObject
from schemas.plans import Citation, Finding, OnError, Plan, PlanSource, Step

_STEP: TypeAdapter[Step] = TypeAdapter(Step)
_OF_KIND: dict[str, tuple[str, ...]] = {
    "tool": ("tool", "arguments", "claimed_risk"),
    "agent": ("agent", "goal"),
    "panel": ("question", "context", "choices"),
    "approval": ("message",),
    "wait": ("seconds", "until", "event"),
}
_OF_ALL = ("id", "title", "why", "depends_on", "when", "for_each", "on_error", "timeout_s")


class Draft(BaseModel):
    """A model's writing. Extra fields are dropped: they are remarks, and nothing reads them."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class StepDraft(Draft):
    id: str
    kind: Literal["tool", "agent", "panel", "approval", "wait"] = "tool"
    title: str = ""
    why: str = ""
    depends_on: list[str] = []
    when: str | None = None
    for_each: str | None = None
    on_error: OnError = OnError.FAIL
    timeout_s: float | None = None
    attempts: int = Field(default=1, description="Calls in all, if the first fails.")
    cites: list[str] = Field(default=[], description="Labels of what is known, as K1.")
    tool: str | None = None
    arguments: JsonObject = {}
    claimed_risk: Literal["none", "low", "medium", "high"] = "none"
    agent: str | None = None
    goal: str | None = None
    question: str | None = None
    context: str | None = Field(
        default=None, description="What a panel is shown, as a reference to an output."
    )
    choices: list[str] = Field(default=[], description="The only answers a panel may give.")
    roles: list[str] = Field(default=[], description="Who the voices of a panel are, one sentence each.")
    message: str | None = None
    seconds: float | None = None
    until: str | None = None
    event: str | None = None


class PlanDraft(Draft):
    rationale: str = ""
    steps: list[StepDraft] = []
    answer: str | None = None
    missing: list[str] = Field(default=[], description="Names of inputs that only a human can give.")


class MoveDraft(Draft):
    thought: str = ""
    step: StepDraft | None = None
    answer: str | None = None


class PlanReviewDraft(Draft):
    score: float = Field(ge=0, le=1)
    findings: list[Finding] = []


class LessonDraft(Draft):
    when: str = Field(min_length=1)
    do: str = ""
    avoid: str = ""
    evidence: list[str] = Field(default=[], description="Ids of steps.")
    confidence: float = Field(default=0.5, ge=0, le=1)


class LessonsDraft(Draft):
    lessons: list[LessonDraft] = []


Labelled = Mapping[str, Citation]


def step_from(draft: StepDraft, sources: Labelled) -> Step:
    """The step that is meant. Raises ValueError with what the model has to mend."""
    said = draft.model_dump(mode="json", exclude_none=True)
    words = {name: said[name] for name in (*_OF_ALL, *_OF_KIND[draft.kind]) if name in said}
    words |= {
        "kind": draft.kind,
        "retry": {"attempts": draft.attempts},
        "cites": list(_cited(draft.cites, sources)),
        **(_panel(draft) if draft.kind == "panel" else {}),
    }
    try:
        return _STEP.validate_python(words)
    except ValidationError as error:
        raise ValueError(f"step {draft.id!r}: {told(error)}") from None


def _panel(draft: StepDraft) -> JsonObject:
    """A model says what is asked of whom; how the answers are counted follows."""
    if len(draft.roles) == 1:
        raise ValueError(f"step {draft.id!r}: one role is no panel; name at least two, or none")
    voices = [{"role": role} for role in draft.roles]
    return {"voices": voices, "method": "vote" if draft.choices else "agreement"}


def plan_from(draft: PlanDraft, sources: Labelled) -> Plan:
    if not draft.steps and not draft.missing:
        raise ValueError("the plan has neither steps nor missing inputs")
    steps = tuple(step_from(step, sources) for step in draft.steps)
    cited = {cite.model_dump_json(): cite for step in steps for cite in step.cites}
    return Plan(
        steps=steps,
        source=PlanSource.MODEL,
        rationale=draft.rationale[:8000],
        answer=draft.answer,
        cites=tuple(cited.values()),
    )


def told(error: ValidationError) -> str:
    """A validation error in one line a model can act on."""
    places = (f"{'.'.join(map(str, item['loc'])) or 'answer'}: {item['msg']}" for item in error.errors())
    return "; ".join(list(places)[:8])


def _cited(labels: Sequence[str], sources: Labelled) -> Iterator[Citation]:
    for label in labels:
        cite = sources.get(label.strip().strip("[]"))
        if cite is None:
            raise ValueError(f"cites: there is no {label!r}; the labels are {', '.join(sources) or 'none'}")
        yield cite
