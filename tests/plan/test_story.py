"""What a story says is what a run can go on from."""

from datetime import UTC, datetime

from holdfast.plan.moves import as_told
from holdfast.plan.story import StoryReader
from schemas.events import EventType, RunEvent
from schemas.plans import AgentStep, ApprovalStep, Plan, PlanSource, StepState, ToolStep, WaitStep
from schemas.runs import RunState, StepOutcome

RUN = "run_" + "0" * 26


def event(kind: EventType, step: str, **data: object) -> RunEvent:
    return RunEvent(
        tenant="default", run_id=RUN, seq=1, type=kind, step_id=step, data=data, at=datetime.now(UTC)
    )


def thought(text: str) -> ToolStep:
    return ToolStep(id="move_1", tool="say", arguments={"text": text})


def test_a_compact_plan_reads_back_as_the_same_plan() -> None:
    plan = Plan(
        steps=(
            ToolStep(id="a", tool="shell", arguments={"command": "ls"}),
            AgentStep(id="b", agent="helper", goal="look", depends_on=("a",)),
            ApprovalStep(id="c", message="go on?"),
            WaitStep(id="d", seconds=3),
        )
    )
    assert Plan.model_validate(plan.compact()) == plan


def test_moves_are_read_back_where_no_plan_lists_them() -> None:
    reader = StoryReader().read(
        [
            event(EventType.STEP_STARTED, "move_1", move=as_told(thought("one")), digest="1"),
            event(EventType.STEP_SUCCEEDED, "move_1", attempt=1),
            event(
                EventType.STEP_STARTED,
                "move_2",
                move=as_told(AgentStep(id="move_2", agent="helper", goal="look")),
            ),
        ]
    )
    plan = reader.plan
    assert plan is not None
    assert (plan.source, [step.id for step in plan.steps]) == (PlanSource.REACT, ["move_1", "move_2"])
    assert [step.state for step in reader.steps()] == [StepState.SUCCEEDED, StepState.RUNNING]


def test_of_two_thoughts_the_one_that_went_out_was_the_move() -> None:
    first, second = thought("one"), thought("two")
    told = [
        event(EventType.STEP_STARTED, "move_1", move=as_told(first), digest="1"),
        event(EventType.STEP_STARTED, "move_1", move=as_told(second), digest="2"),
    ]
    plan = StoryReader().read(told).plan
    assert plan is not None
    assert plan.steps == (second,)
    plan = StoryReader().read([*told, event(EventType.TOOL_DISPATCHED, "move_1", digest="1")]).plan
    assert plan is not None
    assert plan.steps == (first,)


def test_a_fork_has_the_past_it_was_begun_with() -> None:
    plan = Plan(steps=(ToolStep(id="a", tool="say"), ToolStep(id="b", tool="say")))
    done = {"a": StepOutcome(state=StepState.SUCCEEDED, attempts=1)}
    reader = StoryReader(RunState(plan=plan, accepted=True, outcomes=done))
    reader.read([event(EventType.STEP_FAILED, "b", attempt=1)])
    state = reader.state()
    assert state.plan == plan
    assert (state.outcomes["a"].state, state.outcomes["b"].state) == (StepState.SUCCEEDED, StepState.PENDING)
    assert [step.state for step in reader.steps()] == [StepState.SUCCEEDED, StepState.FAILED]


def test_a_call_that_is_taken_up_again_is_as_swayed_as_it_was() -> None:
    plan = Plan(steps=(ToolStep(id="a", tool="say"), ToolStep(id="b", tool="say")), swayed=True)
    told = [
        RunEvent(
            tenant="default",
            run_id=RUN,
            seq=1,
            type=EventType.PLAN_ACCEPTED,
            data={"plan": plan.compact()},
            at=datetime.now(UTC),
        )
    ]
    assert StoryReader().read(told).state().swayed == ("a", "b")
    mended = [*told, event(EventType.STEP_STARTED, "a"), event(EventType.STEP_STARTED, "b", swayed=True)]
    assert StoryReader().read(mended).state().swayed == ("b",)
