"""What a person sees of a run: every event has its place in the picture, and its line in the log."""

from datetime import UTC, datetime, timedelta

from rich.console import Console

from holdfast.cli.run_lines import told
from holdfast.cli.run_picture import Picture
from holdfast.cli.run_view import RunView
from schemas.base import JsonObject
from schemas.events import EventType, ModelDelta, RunEvent
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


def seen(view: RunView, *, width: int = 120, height: int = 50, whole: bool = True) -> str:
    shown = Console(width=width, height=height, force_terminal=False)
    with shown.capture() as capture:
        shown.print(Picture(view, whole=whole))
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
        "approvals show|approve|reject apr_1",
    ):
        assert words in picture
    assert (view.steps["look"].state, view.steps["clean"].state) == (StepState.SUCCEEDED, StepState.WAITING)


def test_the_picture_fits_its_terminal_and_keeps_what_matters() -> None:
    view = RunView(goal="make room " * 30, run_id=RUN)
    steps = [{"id": f"s{n}", "kind": "tool", "tool": "shell", "title": f"Step {n} " * 20} for n in range(60)]
    view.take(story((EventType.PLAN_ACCEPTED, None, {"plan": {"steps": steps}}))[0])
    for event in story(
        *((EventType.STEP_SUCCEEDED, f"s{n}", {}) for n in range(40)),
        (EventType.STEP_FAILED, "s40", {"error": {"message": "no such host"}}),
        (EventType.STEP_STARTED, "s41", {}),
        (EventType.APPROVAL_REQUESTED, "s42", {"approval_id": "apr_1", "summary": {"what": "reboot"}}),
    ):
        view.take(event)
    for width, height in ((80, 24), (120, 30), (40, 12)):
        lines = seen(view, width=width, height=height, whole=False).splitlines()
        assert len(lines) < height
        assert max(map(len, lines)) <= width
        picture = "\n".join(lines)
        if width < 80:
            continue
        for words in ("✗ Step 40", "no such host", "▸ Step 41", "⏸ Step 42", "apr_1", "lines more"):
            assert words in picture, (width, picture)
    assert "Step 59" in seen(view)


def test_steps_appear_while_a_model_writes_them_and_make_way_for_the_plan() -> None:
    view = RunView(goal="make room", run_id=RUN)
    for delta in ({"text": "{"}, {"step": {"id": "x", "title": "Void"}}, {"restart": True}, {"text": "ab"}):
        view.show(ModelDelta.model_validate({"run_id": RUN, **delta}))
    view.show(ModelDelta(run_id=RUN, step={"id": "look", "tool": "sys.disk", "title": "Look first"}))
    picture = seen(view)
    assert "Look first" in picture
    assert "Void" not in picture
    assert "planning, 2 characters" in picture
    view.take(story((EventType.PLAN_ACCEPTED, None, {"plan": PLAN}))[0])
    assert "Look first" not in seen(view)


def test_a_delegated_run_is_drawn_below_its_step_and_its_cost_counts() -> None:
    view = RunView(goal="make room", run_id=RUN)
    plan = {"steps": [{"id": "ask", "kind": "agent", "agent": "keeper", "goal": "Look around"}]}
    for event in story((EventType.PLAN_ACCEPTED, None, {"plan": plan}), (EventType.STEP_STARTED, "ask", {})):
        view.take(event)
    child = view.children["ask"] = RunView("Look around", "run_01aryz6s41tv4aaaaaaaaaaaaa")
    for event in (*STORY, *story((EventType.MODEL_CALLED, None, {"cost_usd": 0.25}))):
        child.take(event)
    picture = seen(view)
    assert "   ├─ ✓ Look at the disk" in picture
    assert "$0.2500" in picture
    assert "approvals show|approve|reject apr_1" in picture


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


def test_a_run_that_a_failed_step_stopped_says_how_it_goes_on() -> None:
    view = RunView(goal="make room", run_id=RUN)
    view.take(
        story((EventType.RUN_STATUS, None, {"status": "input_required", "reason": "step_failed: look"}))[0]
    )
    assert f"holdfast runs resume {RUN}" in seen(view)
    view.take(story((EventType.RUN_ENDED, None, {"status": "cancelled"}))[0])
    assert "resume" not in seen(view)


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
