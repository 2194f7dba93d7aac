"""How a voice is asked: for its answer, for its second thoughts, for its ranking of the others."""

from collections.abc import Mapping, Sequence
from statistics import mean

from pydantic import Field

from holdfast.llm.drafts import Draft
from holdfast.llm.fences import FENCE_RULES, fence
from holdfast.llm.panels.ballot import Ballot
from holdfast.llm.panels.seats import Seat
from holdfast.llm.structured import Form
from holdfast.llm.templates import messages_from
from schemas.chat import ChatRequest
from schemas.panels import PanelRequest


class VoiceDraft(Draft):
    answer: str = Field(min_length=1)
    choice: str | None = None
    confidence: float = Field(default=0.5, ge=0, le=1)


class RankDraft(Draft):
    scores: dict[str, dict[str, float]] = Field(
        description="For each letter, a number from 0 to 10 per criterion."
    )


def answer_form(request: PanelRequest) -> Form[VoiceDraft, VoiceDraft]:
    def read(draft: VoiceDraft) -> VoiceDraft:
        if request.choices and draft.choice not in request.choices:
            raise ValueError(f"choice: {draft.choice!r} is none of {', '.join(map(repr, request.choices))}")
        return draft if request.choices else draft.model_copy(update={"choice": None})

    return Form("voice", VoiceDraft, read)


def rank_form(request: PanelRequest, shown: Mapping[str, Ballot]) -> Form[RankDraft, dict[str, float]]:
    """Reads the ranking as voice → mean score."""

    def read(draft: RankDraft) -> dict[str, float]:
        if set(draft.scores) != set(shown):
            raise ValueError(f"scores: give them for exactly {', '.join(shown)}")
        for letter, given in draft.scores.items():
            if set(given) != set(request.criteria) or not all(0 <= score <= 10 for score in given.values()):
                raise ValueError(f"scores.{letter}: give 0 to 10 for exactly {', '.join(request.criteria)}")
        return {shown[letter].voice: mean(given.values()) for letter, given in draft.scores.items()}

    return Form("ranking", RankDraft, read)


def question_to(seat: Seat, request: PanelRequest, others: Sequence[str] = (), *, key: str) -> ChatRequest:
    """In a debate, `others` are the other voices' last answers, without names."""
    seen = [
        fence(text, label=f"another answer, {number}", key=key) for number, text in enumerate(others, start=1)
    ]
    second = "Others answered as follows. Change your answer only for a reason, and say it.\n" + "\n\n".join(
        seen
    )
    values = {
        "role": seat.role,
        "choices": f"`choice` is exactly one of: {' | '.join(request.choices)}." if request.choices else "",
        "question": request.question,
        "context": _context(request, key),
        "others": second if seen else "",
        "fence_rules": FENCE_RULES,
    }
    return _chat(request, "panel", values)


def ranking_by(request: PanelRequest, shown: Mapping[str, Ballot], *, key: str) -> ChatRequest:
    answers = [fence(ballot.text, label=f"answer {letter}", key=key) for letter, ballot in shown.items()]
    values = {
        "criteria": "\n".join(f"- {name}" for name in request.criteria),
        "question": request.question,
        "context": _context(request, key),
        "answers": "\n\n".join(answers),
        "fence_rules": FENCE_RULES,
    }
    return _chat(request, "rank", values)


def _chat(request: PanelRequest, template: str, values: Mapping[str, str]) -> ChatRequest:
    return ChatRequest(
        messages=messages_from(template, values),
        max_output_tokens=request.max_output_tokens,
        timeout_s=request.voice_timeout_s,
    )


def _context(request: PanelRequest, key: str) -> str:
    return fence(request.context, label="context of the question", key=key) if request.context else "none"
