"""What the story says of plans and actions: the events of checks, verdicts and effects, and the keys that tell each once."""

from collections.abc import Sequence
from typing import Any

from holdfast.plan.moves import as_told
from schemas.actions import Action
from schemas.base import JsonObject
from schemas.canonical import digest_of
from schemas.events import EventType, NewEvent
from schemas.plans import Finding, Plan, Step, StepState
from schemas.runs import StepOutcome
from schemas.stages import ActRequest, JudgeRequest, ResolveRequest
from schemas.tools import ToolError, ToolResult
from schemas.verdicts import Decision, VerdictRecord

CANCELLED = "cancelled"
"""The error of a call that was stopped; no attempt follows it."""

IN_DOUBT = "effect_unknown"
"""The error of a call of which nobody said whether it happened; no attempt follows it unasked."""

_LONGEST_TEXT = 600


def of_the_run(place: str, kind: EventType, data: JsonObject, *, step: str | None = None) -> NewEvent:
    """What the workflow tells of its own accord. Its key is its place and its words: a workflow that was set back tells
    again what comes out differently, and nothing else."""
    words = digest_of([kind, step, data]).removeprefix("sha256:")[:12]
    return NewEvent(key=f"{place}.{words}", type=kind, step_id=step, data=data)


def plan_accepted(place: str, plan: Plan, findings: Sequence[Finding] = ()) -> NewEvent:
    notes = [finding.message for finding in findings if not finding.fatal]
    data: JsonObject = {"plan": plan.compact()}
    return of_the_run(place, EventType.PLAN_ACCEPTED, data | ({"notes": notes[:20]} if notes else {}))


def plan_rejected(place: str, findings: Sequence[Finding]) -> NewEvent:
    fatal = [finding.model_dump(mode="json") for finding in findings if finding.fatal]
    return of_the_run(place, EventType.PLAN_REJECTED, {"findings": fatal[:20]})


def step_started(action: Action, title: str, move: Step | None = None) -> NewEvent:
    """Told with the verdict of the step's first action, or with its call: starting costs no round trip of its own. No plan
    lists what an agent does that observes and acts, so each of its moves comes along."""
    data: JsonObject = {"title": title, "tool": action.tool, "attempt": action.attempt}
    if action.swayed:
        data["swayed"] = True
    if move is not None:
        data |= {"move": as_told(move), "digest": action.digest}
    return NewEvent(
        key=f"{action.key}:started", type=EventType.STEP_STARTED, step_id=action.step_id, data=data
    )


def verdict_given(request: JudgeRequest, record: VerdictRecord) -> NewEvent:
    verdict, action = record.verdict, request.action
    place = f"verdict:{request.round}:{verdict.bundle[7:19]}"
    if verdict.held:  # asked about again and again, and told once
        place = f"held:{digest_of([[each.policy, each.message] for each in verdict.reasons])[7:19]}"
    return NewEvent(
        key=f"{action.key}:{place}",
        type=EventType.VERDICT_HELD if verdict.held else EventType.VERDICT,
        step_id=action.step_id,
        data={
            "tool": action.tool,
            "arguments": shortened(action.arguments),
            "item": action.item,
            "decision": verdict.decision,
            "reasons": [reason.model_dump(mode="json") for reason in verdict.reasons],
            "digest": verdict.action_digest,
            "bundle": verdict.bundle,
            "latency_us": record.latency_us,
            **({"may_settle": verdict.may_settle} if verdict.may_settle else {}),
        },
    )


def held_back(action: Action, why: str) -> NewEvent:
    """Judged, and held by a freeze that came after that."""
    reason = {"policy": "freeze", "effect": Decision.DENY, "message": f"held by a freeze: {why}"}
    return NewEvent(
        key=f"{action.key}:held:{digest_of(why)[7:19]}",
        type=EventType.VERDICT_HELD,
        step_id=action.step_id,
        data={"tool": action.tool, "item": action.item, "reasons": [reason], "digest": action.digest},
    )


def judged(request: JudgeRequest, record: VerdictRecord) -> list[NewEvent]:
    """The events of a verdict: the step has started, the verdict was given, and a denied step has ended."""
    events = [verdict_given(request, record)]
    if request.opens:
        events.insert(0, step_started(request.action, request.step_title, request.move))
    if request.closes and record.verdict.decision is Decision.DENY and not record.verdict.held:
        events.append(_ended(request.action, EventType.STEP_DENIED, {"why": record.verdict.why}))
    return events


def tool_dispatched(request: ActRequest) -> list[NewEvent]:
    """The call goes out; where the step was judged ahead of its turn, it starts only now."""
    dispatched = NewEvent(
        key=f"{request.action.key}:dispatched",
        type=EventType.TOOL_DISPATCHED,
        step_id=request.action.step_id,
        data={"tool": request.action.tool, "item": request.action.item, "digest": request.digest},
    )
    return [step_started(request.action, request.step_title), dispatched] if request.opens else [dispatched]


def tool_ended(request: ActRequest, result: ToolResult) -> list[NewEvent]:
    """The call has ended and, where it was all the step had to do, so has the step."""
    return _after_call(request.action, result, closes=request.closes, final=request.final)


def effect_unknown(request: ActRequest, why: str) -> NewEvent:
    return NewEvent(
        key=f"{request.action.key}:unknown",
        type=EventType.EFFECT_UNKNOWN,
        step_id=request.action.step_id,
        data={"tool": request.action.tool, "digest": request.digest, "why": why},
    )


def resolved(request: ResolveRequest) -> ToolResult:
    """What a person's word leaves in the place of a result."""
    if request.happened:
        return ToolResult(ok=True, summary="A human said it happened.", untrusted=False)
    error = ToolError(code="did_not_happen", message="A human said it did not happen.")
    return ToolResult(ok=False, error=error, untrusted=False)


def item_ended(action: Action, state: StepState, why: str) -> NewEvent:
    """An item of a list whose attempt is over without a call: whoever takes the step up again makes the next."""
    return NewEvent(
        key=f"{action.key}:item_{state.value}",
        type=EventType.RUN_MESSAGE,
        step_id=action.step_id,
        data={"item": action.item, "state": state, "attempt": action.attempt, "why": why},
    )


def effect_resolved(request: ResolveRequest) -> NewEvent:
    return NewEvent(
        key=f"{request.digest}:resolved",
        type=EventType.EFFECT_RESOLVED,
        step_id=request.step_id,
        data={
            "digest": request.digest,
            "happened": request.happened,
            "by": request.by,
            "comment": request.comment,
        },
    )


def performed(request: JudgeRequest, record: VerdictRecord, result: ToolResult) -> list[NewEvent]:
    """The fast lane: everything there is to tell of a harmless read, at once."""
    told = judged(request, record)
    return [*told, *_after_call(request.action, result, closes=request.closes, final=request.final)]


def outcome_of(result: ToolResult, action: Action) -> StepOutcome:
    """What a call leaves to the steps behind it. What was made of text from outside is from outside still."""
    return StepOutcome(
        state=StepState.SUCCEEDED if result.ok else StepState.FAILED,
        output=result.output,
        artifact=result.artifact,
        error=result.error,
        summary=result.summary,
        untrusted=result.untrusted or bool(action.tainted) or action.swayed,
        attempts=action.attempt,
    )


def is_in_doubt(outcome: StepOutcome) -> bool:
    """Nobody knows whether the call happened: making another is not for us to decide."""
    return outcome.error is not None and outcome.error.code == IN_DOUBT


def shortened(value: Any) -> Any:
    """The value with its long texts cut: for eyes, never for machines."""
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"{value[:_LONGEST_TEXT]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value[:50]]
    return value


def _after_call(action: Action, result: ToolResult, *, closes: bool, final: bool) -> list[NewEvent]:
    finished = _tool_finished(action, result)
    if not closes:
        return [finished]
    if result.ok:
        return [finished, _ended(action, EventType.STEP_SUCCEEDED, {})]
    kind = EventType.STEP_FAILED if final else EventType.STEP_RETRYING
    if result.error and result.error.code == CANCELLED:
        kind = EventType.STEP_CANCELLED
    return [finished, _ended(action, kind, {"error": _error(result)})]


def _tool_finished(action: Action, result: ToolResult) -> NewEvent:
    outcome = outcome_of(result, action)
    return NewEvent(
        key=f"{action.key}:finished",
        type=EventType.TOOL_FINISHED,
        step_id=action.step_id,
        data={
            "tool": action.tool,
            "item": action.item,
            "attempt": action.attempt,
            "ok": result.ok,
            "duration_ms": round(result.duration_ms, 1),
            "outcome": outcome.model_dump(mode="json", exclude_defaults=True) | {"state": outcome.state},
            "isolation": result.isolation.model_dump(mode="json") if result.isolation else None,
        },
    )


def _ended(action: Action, kind: EventType, data: dict[str, Any]) -> NewEvent:
    told = {**data, "attempt": action.attempt}
    return NewEvent(key=f"{action.key}:{kind.value}", type=kind, step_id=action.step_id, data=told)


def _error(result: ToolResult) -> dict[str, Any] | None:
    return result.error.model_dump(mode="json") if result.error else None
