"""What a person sees of a run: every event has its place in the picture, and its line in the log."""

from datetime import UTC, datetime, timedelta

from rich.console import Console

from holdfast.cli.run_view import RunView, told
from schemas.base import JsonObject
from schemas.events import EventType, RunEvent
from schemas.plans import StepState
from schemas.runs import RunStatus

RUN = "run_00000000000000000000000000"
START = datetime(2026, 1, 1, tzinfo=UTC)


def story(*told_events: tuple[EventType, str | None, JsonObject]) -> list[RunEvent]:
    return [
        RunEvent(
            tenant="default",
            run_id=RUN,
            seq=number,
            type=kind,
            step_id=step,
            data=data,
            at=START + timedelta(seconds=number),
        )
        for number, (kind, step, data) in enumerate(told_events, 1)
    ]


PLAN = {"steps": [{"id": "look", "kind": "tool", "tool": "sys.disk", "title": "Look at the disk"}, {"id": "clean", "kind": "tool", "tool": "shell"}]}  # fmt: skip
STORY = story(
    (EventType.RUN_STARTED, None, {"generation": 0}),
    (EventType.PLAN_ACCEPTED, None, {"plan": PLAN}),
    (EventType.STEP_STARTED, "look", {"title": "Look at the disk", "tool": "sys.disk"}),
    (EventType.VERDICT, "look", {"tool": "sys.disk", "decision": "allow", "reasons": []}),
    (
        EventType.TOOL_FINISHED,
        "look",
        {"tool": "sys.disk", "outcome": {"summary": "91 % full"}, "duration_ms": 4},
    ),
    (EventType.STEP_SUCCEEDED, "look", {}),
    (
        EventType.VERDICT,
        "clean",
        {"tool": "shell", "decision": "deny", "reasons": [{"message": "it deletes"}]},
    ),
    (EventType.STEP_DENIED, "clean", {"why": "it deletes"}),
    (EventType.APPROVAL_REQUESTED, "clean", {"approval_id": "apr_1", "summary": {"what": "rm -r /var/tmp"}}),
)


def seen(view: RunView) -> str:
    shown = Console(width=120, force_terminal=False)
    with shown.capture() as capture:
        shown.print(view.draw())
    return capture.get()


def test_the_picture_shows_plan_states_reasons_and_what_waits() -> None:
    view = RunView(goal="make room", run_id=RUN)
    for event in STORY:
        view.take(event)
    picture = seen(view)
    for words in (
        "make room",
        "Look at the disk",
        "91 % full",
        "deny: it deletes",
        "rm -r /var/tmp",
        "approvals approve apr_1",
    ):
        assert words in picture
    assert (view.steps["look"].state, view.steps["clean"].state) == (StepState.SUCCEEDED, StepState.DENIED)


def test_a_decided_approval_no_longer_waits_and_the_end_is_shown() -> None:
    view = RunView(goal="make room", run_id=RUN)
    ending = story(
        (EventType.APPROVAL_DECIDED, "clean", {"approval_id": "apr_1", "status": "approved"}),
        (EventType.RUN_ANSWER, None, {"answer": "There is room again."}),
        (EventType.RUN_ENDED, None, {"status": "succeeded", "reason": ""}),
    )
    for event in (*STORY, *ending):
        view.take(event)
    assert view.waits_for == {}
    assert view.status is RunStatus.SUCCEEDED
    assert "There is room again." in seen(view)


def test_every_kind_of_event_has_its_line() -> None:
    bare: dict[EventType, JsonObject] = {EventType.PLAN_ACCEPTED: {"plan": {"steps": []}}}
    for event in story(*((kind, None, bare.get(kind, {})) for kind in EventType)):
        assert event.type.value in told(event)


def test_text_from_outside_cannot_draw_on_the_terminal() -> None:
    view = RunView(goal="[bold red]look[/]", run_id=RUN)
    hostile = story((EventType.RUN_ANSWER, None, {"answer": "\x1b[2Jgone\x07"}))
    view.take(hostile[0])
    assert "[bold red]look[/]" in seen(view)
    assert "\x1b" not in seen(view)
    assert "\x1b" not in told(hostile[0])
