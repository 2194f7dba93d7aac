"""The story of a run as lines, for logs and pipes."""

from typing import Any

from holdfast.cli.plain import plain
from schemas.events import EventType, RunEvent

_LONGEST = 160


def told(event: RunEvent) -> str:
    """One event as one line, for logs and pipes."""
    where = f" {event.step_id}" if event.step_id else ""
    words = plain(" ".join(_words(event)))
    return f"{event.at:%H:%M:%S} {event.seq:>4} {event.type.value}{where} {words}".rstrip()


def _words(event: RunEvent) -> list[str]:
    data = event.data
    if event.type in (EventType.VERDICT, EventType.VERDICT_HELD):
        return [str(data.get("tool", "")), verdict_text(data)]
    if event.type == EventType.TOOL_FINISHED:
        outcome = data.get("outcome", {})
        return [
            str(data.get("tool", "")),
            short(outcome.get("summary", "")),
            f"{data.get('duration_ms', 0)} ms",
        ]
    if event.type == EventType.PLAN_ACCEPTED:
        return [f"{len(data['plan'].get('steps', ()))} steps", *_notes(data)]
    if event.type == EventType.APPROVAL_REQUESTED:
        return [str(data.get("approval_id", "")), short(data.get("summary", {}).get("what", ""))]
    named = (
        "status",
        "reason",
        "answer",
        "goal",
        "why",
        "note",
        "title",
        "tool",
        "decision",
        "approver",
        "text",
    )
    found = [short(str(data[name])) for name in named if data.get(name)]
    if isinstance(data.get("error"), dict):
        found.append(short(data["error"].get("message", "")))
    return [*found, *_notes(data)]


def _notes(data: dict[str, Any]) -> list[str]:
    return [f"note: {short(str(note))}" for note in data.get("notes", ())]


def verdict_text(data: dict[str, Any]) -> str:
    if data.get("may_settle"):
        return f"unclear: a {data['may_settle']} is asked"
    reasons = "; ".join(reason.get("message", "") for reason in data.get("reasons", ()))
    return short(f"{data.get('decision', '')}: {reasons}" if reasons else str(data.get("decision", "")))


def short(text: str) -> str:
    line = plain(" ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
