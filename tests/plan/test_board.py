"""The plan as people read it in Temporal's Web UI."""

from holdfast.plan.board import Doing, board
from schemas.plans import ApprovalStep, Plan, StepState, ToolStep
from schemas.runs import StepOutcome
from schemas.tools import ToolError

PLAN = Plan(
    steps=(
        ToolStep(id="look", tool="shell", title="Look"),
        ToolStep(id="fix", tool="shell", title="Fix | mend"),
        ApprovalStep(id="go", message="go on?"),
    )
)


def rows(text: str) -> list[list[str]]:
    """The cells of the table's rows, as they are read."""
    lines = [line.replace("\\|", "¦").replace("\u200b", "") for line in text.splitlines()[4:]]
    return [[cell.strip().replace("¦", "|") for cell in line.strip("|").split("|")] for line in lines]


def test_each_step_has_a_row_with_its_state_and_what_to_know_of_it() -> None:
    error = ToolError(code="failed", message="no such\nfile | folder")
    outcomes = {
        "look": StepOutcome(state=StepState.SUCCEEDED),
        "fix": StepOutcome(state=StepState.FAILED, error=error),
    }
    text = board(PLAN, outcomes, {"go": Doing("waits for approval", waits=True)}, "input_required")
    assert text.startswith("**input_required** · 1 of 3 steps done, 1 failed\n")
    assert rows(text) == [
        ["✔", "look", "shell", "Look"],
        ["✘", "fix", "shell", "no such file | folder"],
        ["…", "go", "approval", "waits for approval"],
    ]


def test_of_a_long_plan_only_what_is_under_way_is_shown() -> None:
    plan = Plan(steps=tuple(ToolStep(id=f"s{n}", tool="shell") for n in range(5000)))
    assert [row[1] for row in rows(board(plan, {}, {"s7": Doing("shell ls")}, "running"))] == ["s7"]


def test_why_the_run_has_its_status_stands_above_the_table() -> None:
    text = board(PLAN, {}, {}, "input_required", "step_failed: fix: no such\nfile")
    assert text.splitlines()[:3] == [
        "**input_required** · 0 of 3 steps done",
        "",
        "step_failed: fix: no such file",
    ]
    assert board(None, {}, {}, "rejected", "no plan") == "**rejected**\n\nno plan"


def test_without_a_plan_there_is_the_status() -> None:
    assert board(None, {}, {}, "running") == "**running**"
