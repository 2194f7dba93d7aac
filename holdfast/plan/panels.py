"""A panel inside a plan: what is asked, under which name, and what it leaves to the steps behind it. Pure."""

import json
from typing import Any

from holdfast.plan.references import resolve
from schemas.approvals import Approval, ApprovalStatus, ApprovalSummary
from schemas.base import JsonObject
from schemas.canonical import digest_of
from schemas.panels import PanelRequest, PanelResult, VoiceAnswer
from schemas.plans import PanelStep, StepState
from schemas.runs import StepOutcome
from schemas.tools import ToolError

_LONGEST_ANSWER = 8_000
_LONGEST_OTHER = 600


def asked_by(step: PanelStep, scope: dict[str, Any]) -> PanelRequest:
    """The question with its references read. Material that is no text is shown as JSON."""
    terms = {
        name: getattr(step, name) for name in PanelRequest.model_fields if name not in ("question", "context")
    }
    question, context = (_text(resolve(text, scope)) for text in (step.question, step.context))
    return PanelRequest(question=question[:8000], context=context[:100_000], **terms)


def panel_id_for(run_id: str, step_id: str, request: PanelRequest, *, generation: int, attempt: int) -> str:
    """The same for the same question in the same place, so that a crash or a roll-over finds what was said."""
    place = [run_id, step_id, generation, attempt, request.model_dump(mode="json")]
    return f"panel_{digest_of(place).removeprefix('sha256:')[:26]}"


def brief(result: PanelResult) -> PanelResult:
    """The result without its longest texts: what goes through a history. The whole one is kept in Postgres."""
    voices = tuple(
        voice.model_copy(update={"text": _cut(voice.text, _LONGEST_OTHER)}) for voice in result.voices
    )
    dissent = tuple(_cut(text, _LONGEST_OTHER) for text in result.dissent)
    answer = _cut(result.answer, _LONGEST_ANSWER)
    return result.model_copy(
        update={"voices": voices, "dissent": dissent, "answer": answer, "question": "", "created_at": None}
    )


def settled(result: PanelResult, *, untrusted: bool) -> StepOutcome:
    """The panel's own word: consensus, or, where nobody is to be asked, the best there is."""
    by = "nobody" if result.escalate else "panel"
    return StepOutcome(
        state=StepState.SUCCEEDED,
        output=_output(result, decided_by=by, answer=result.answer, choice=result.choice),
        summary=_summary(result),
        untrusted=untrusted,
    )


def undecided(result: PanelResult) -> StepOutcome:
    """No consensus, and the step says that this is a failure."""
    error = ToolError(
        code="no_consensus",
        message=f"The panel came to no consensus: {result.reason}.",
        remedy="Ask more voices, lower the threshold, or let people decide: `escalate: human`.",
    )
    output = _output(result, decided_by="nobody", answer=result.answer, choice=result.choice)
    return StepOutcome(state=StepState.FAILED, output=output, error=error)


def question_to_people(
    step: PanelStep, request: PanelRequest, result: PanelResult, where: str
) -> ApprovalSummary:
    """What people read: who said what, and what their yes means."""
    answer = result.choice or result.answer
    if answer:
        yes = f"approve: the answer is {_cut(answer, _LONGEST_OTHER)!r}, or your comment, where it is one of the choices"
    elif request.choices:
        yes = f"approve, with one of these as the comment: {', '.join(request.choices)}"
    else:
        yes = "approve, with the answer as the comment"
    lines = [*map(_line, result.voices), "", f"{yes} · reject: the step is denied"]
    return ApprovalSummary(
        what=request.question[:2000],
        where=where,
        why=step.why or "the panel came to no consensus",
        detail="\n".join(lines),
        reasons=(result.reason, f"score {result.score:.2f} of {result.threshold:.2f}"),
    )


def decided_by_people(
    request: PanelRequest, result: PanelResult, approval: Approval, *, untrusted: bool
) -> StepOutcome:
    """A comment that names a choice is the answer; another one is, where the panel has none."""
    said = list(dict.fromkeys(each.comment.strip() for each in approval.decisions if each.comment.strip()))
    comment = "; ".join(said)
    if approval.status is not ApprovalStatus.APPROVED:
        why = f"approval {approval.status.value}" + (f": {comment}" if comment else "")
        return StepOutcome(state=StepState.DENIED, error=ToolError(code="denied", message=why))
    named = [each for each in said if each in request.choices]
    choice = named[0] if named else result.choice
    answer = comment if named or not result.answer else result.answer
    if len(named) > 1 or not answer or (request.choices and choice is None):
        return StepOutcome(state=StepState.FAILED, error=_no_answer(request))
    output = _output(result, decided_by="human", answer=answer, choice=choice)
    approvers = [decision.approver for decision in approval.decisions]
    return StepOutcome(
        state=StepState.SUCCEEDED,
        output={**output, "approvers": approvers, "comment": comment, "approval_id": approval.id},
        summary=f"{', '.join(approvers)} decided: {_cut(choice or answer, 300)}",
        untrusted=untrusted and answer != comment,
    )


def _no_answer(request: PanelRequest) -> ToolError:
    wanted = f"one of {', '.join(request.choices)}, the same from all" if request.choices else "the answer"
    return ToolError(
        code="no_answer",
        message=f"People said yes, and nobody can tell to what: the comment has to be {wanted}.",
    )


def _output(result: PanelResult, *, decided_by: str, answer: str, choice: str | None) -> JsonObject:
    return {
        "answer": answer,
        "choice": choice,
        "consensus": not result.escalate,
        "decided_by": decided_by,
        "score": result.score,
        "threshold": result.threshold,
        "breakdown": result.breakdown,
        "method": result.method.value,
        "reason": result.reason,
        "dissent": list(result.dissent),
        "voices": [_voice(voice) for voice in result.voices],
        "rounds": result.rounds,
        "live": result.live,
        "cost_usd": round(result.cost_usd, 9),
        "latency_ms": result.latency_ms,
        "panel_id": result.id,
    }


def _voice(voice: VoiceAnswer) -> JsonObject:
    told = voice.model_dump(mode="json", exclude={"text", "role", "confidence"}, exclude_defaults=True)
    return {
        **told,
        "agrees": voice.agrees,
        "cost_usd": round(voice.cost_usd, 9),
        "latency_ms": voice.latency_ms,
    }


def _line(voice: VoiceAnswer) -> str:
    said = f"{voice.choice}: {voice.text}" if voice.choice else voice.text
    return f"{voice.voice} ({voice.deployment}): {said or f'{voice.state}: {voice.error}'}"


def _summary(result: PanelResult) -> str:
    agreeing = sum(voice.agrees for voice in result.voices)
    said = _cut(result.choice or result.answer or "no answer", 300)
    return f"{said} ({agreeing} of {len(result.voices)} voices, score {result.score:.2f})"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1, default=str)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"
