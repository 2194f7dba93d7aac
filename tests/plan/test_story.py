"""What a story says is what a run can go on from."""

from schemas.plans import AgentStep, ApprovalStep, Plan, ToolStep, WaitStep


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
