"""Draws lessons from a finished run by rules, each resting on calls in the ledger or on a person's decision.

What failed and was then done otherwise with success; what was refused; what a person changed. Nothing else is claimed.
"""

import json
import re
from collections.abc import Iterator

from holdfast.memory.commands import command_of, mends, programs_of
from holdfast.memory.signatures import alert_of, goal_kind
from holdfast.memory.wording import quoted
from schemas.base import JsonObject
from schemas.memory import (
    Call,
    Correction,
    Evidence,
    MemoryContent,
    MemoryKind,
    MemoryScope,
    MemoryStatus,
    Signature,
    Trust,
)
from schemas.stages import LearnRequest

_QUOTED = 240
_SHOWN = 400


def episode_of(request: LearnRequest, evidence: Evidence, *, runbook: str) -> MemoryContent:
    """What the run was for, what it did, how it ended."""
    calls = "; ".join(_call_line(call) for call in evidence.calls[:12])
    answer = f" Answer: {quoted(request.answer)}" if request.answer else ""
    text = f"Goal: {request.goal[:600]}\nEnded {request.status}. {calls}{answer}"
    return MemoryContent(
        kind=MemoryKind.EPISODE,
        status=MemoryStatus.ACTIVE,
        text=text[:4000],
        data={"status": str(request.status), "run": request.scope.run_id},
        signature=Signature(
            goal_kind=goal_kind(request.goal), runbook=runbook, alert=evidence.alert or alert_of(request.goal)
        ),
        scope=_scope(request),
        # The goal of another run is no instruction to this one, whoever gave it.
        trust=Trust.EXTERNAL,
        tainted=True,
        confidence=1.0,
        importance=0.3 if request.status == "succeeded" else 0.6,
    )


def lessons_of(
    request: LearnRequest, evidence: Evidence, *, runbook: str, status: MemoryStatus
) -> list[MemoryContent]:
    """The lessons the evidence carries; each signature at most once."""
    situation = {
        "goal_kind": goal_kind(request.goal),
        "runbook": runbook,
        "alert": evidence.alert or alert_of(request.goal),
    }
    drawn = [*_from_corrections(evidence), *_from_failures(evidence, request.goal)]
    seen: set[tuple[object, ...]] = set()
    lessons = []
    for text, data, about, call in drawn:
        met = (about.tool, about.error, *data.get("programs", ()))
        if met in seen:
            continue
        seen.add(met)
        human = data.get("by") == "human"
        lessons.append(
            MemoryContent(
                kind=MemoryKind.LESSON,
                status=status,
                text=text,
                data={**data, "goal": request.goal[:400]},
                signature=about.model_copy(update=situation),
                scope=MemoryScope(environment=request.scope.environment if data["rule"] == "refused" else ""),
                trust=Trust.HUMAN if human else Trust.TOOL,
                tainted=call is not None and call.untrusted and bool(call.message),
                confidence=0.9 if human or data["rule"] == "fixed" else 0.6,
                importance=0.7,
            )
        )
    return lessons


_Drawn = tuple[str, JsonObject, Signature, Call | None]


def _from_failures(evidence: Evidence, goal: str) -> Iterator[_Drawn]:
    for at, call in enumerate(evidence.calls):
        if call.ok:
            continue
        about = Signature(tool=call.tool, error=call.error)
        fix = next((later for later in evidence.calls[at + 1 :] if _mends(call, later, goal)), None)
        if call.refused:
            text = f"Do not call {call.tool} with {shown(call.arguments)}: it was refused ({quoted(call.message)})."
            yield text, _data("refused", call, None), about, call
        elif fix is not None:
            yield _fixed(call, fix), _data("fixed", call, fix), about, call
        elif call.error:
            text = (
                f"{call.tool} with {shown(call.arguments)} fails with {call.error}"
                f"{_reported(call)}. Check this before calling it so again."
            )
            yield text, _data("constraint", call, None), about, call


def _mends(failed: Call, later: Call, goal: str) -> bool:
    """Whether a later call is the failed one made better: neither the same again, nor the next thing to be done."""
    if not later.ok or later.tool != failed.tool or later.arguments == failed.arguments:
        return False
    before, after = command_of(failed.arguments), command_of(later.arguments)
    return mends(before, after) if before and after else not _next_of_many(failed, later, goal)


def _next_of_many(failed: Call, later: Call, goal: str) -> bool:
    """The goal names both values of all that differs: it wanted the one done, and then the other."""
    names = {*failed.arguments, *later.arguments}
    differing = [name for name in names if failed.arguments.get(name) != later.arguments.get(name)]
    words = set(re.findall(r"[\w./:@-]+", goal.lower()))
    values = [str(call.arguments.get(name, "")).lower() for name in differing for call in (failed, later)]
    return all(value in words for value in values)


def _fixed(failed: Call, fix: Call) -> str:
    return (
        f"When {failed.tool} with {shown(failed.arguments)} fails with {failed.error or 'an error'}"
        f"{_reported(failed)}, what worked was {fix.tool} with {shown(fix.arguments)}. Do that first."
    )


def _from_corrections(evidence: Evidence) -> Iterator[_Drawn]:
    for each in evidence.corrections:
        about = Signature(tool=each.tool, error="edited" if each.after is not None else "rejected")
        if each.after is not None:
            text = f"For {each.tool} people here want {_changes(each)}."
            data = {"rule": "edited", "by": "human", "before": each.before, "after": each.after}
        else:
            why = f": {each.comment[:_QUOTED]}" if each.comment else ""
            text = f"Do not propose {each.tool} with {shown(each.before)}: a person said no{why}."
            data = {"rule": "refused", "by": "human", "before": each.before}
        yield text, {**data, **_programs(each.before), "approver": each.approver}, about, None


def _changes(each: Correction) -> str:
    after = each.after or {}
    changed = [
        f"{name} {shown({name: after.get(name)})} instead of {shown({name: each.before.get(name)})}"
        for name in sorted({*each.before, *after})
        if each.before.get(name) != after.get(name)
    ]
    return "; ".join(changed) or "the same arguments"


def _data(rule: str, call: Call, fix: Call | None) -> JsonObject:
    data: JsonObject = {"rule": rule, "tool": call.tool, "avoid": call.arguments, "step": call.step_id}
    data |= _programs(call.arguments)
    return data if fix is None else {**data, "do": fix.arguments}


def _programs(arguments: JsonObject) -> JsonObject:
    """What a command runs: a tool that runs any program is known by them alone."""
    programs = programs_of(arguments)
    return {"programs": list(programs)} if programs else {}


def _call_line(call: Call) -> str:
    return f"{call.tool} {'succeeded' if call.ok else f'failed ({call.error})'}"


def _scope(request: LearnRequest) -> MemoryScope:
    return MemoryScope(environment=request.scope.environment, thread=request.thread or "")


def _reported(call: Call) -> str:
    return f" (it said: {quoted(call.message)})" if call.message else ""


def shown(arguments: JsonObject) -> str:
    return json.dumps(arguments, ensure_ascii=False, sort_keys=True)[:_SHOWN]
