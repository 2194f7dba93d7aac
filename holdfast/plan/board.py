"""The run as the Temporal Web UI shows it: the plan as a Markdown table with live states."""

from collections.abc import Mapping

from schemas.plans import Plan, Step, StepState
from schemas.runs import StepOutcome

_MARKS = {
    StepState.PENDING: "·",
    StepState.RUNNING: "▶",
    StepState.WAITING: "⏳",
    StepState.SUCCEEDED: "✔",
    StepState.FAILED: "✘",
    StepState.SKIPPED: "↷",
    StepState.DENIED: "⛔",
    StepState.UNKNOWN: "?",
    StepState.CANCELLED: "–",
}
_ROWS = 60
# The Web UI sets columns without any space between them, and trims what it takes for space.
_GAP = "\u00a0\u00a0\u200b"


def board(
    plan: Plan | None, outcomes: Mapping[str, StepOutcome], active: Mapping[str, str], status: str
) -> str:
    """`active` names the steps under way and what each is doing."""
    if plan is None:
        return f"**{status}**"
    shown = plan.steps if len(plan.steps) <= _ROWS else [s for s in plan.steps if s.id in active][:_ROWS]
    lines = [f"**{status}** · {_counts(plan, outcomes)}", "", "| | step | tool | what |", "|---|---|---|---|"]
    lines += [_row(step, outcomes.get(step.id), active.get(step.id)) for step in shown]
    return "\n".join(lines)


def _counts(plan: Plan, outcomes: Mapping[str, StepOutcome]) -> str:
    done = sum(outcome.state.ended for outcome in outcomes.values())
    return f"{done} of {len(plan.steps)} steps"


def _row(step: Step, outcome: StepOutcome | None, doing: str | None) -> str:
    state = StepState.RUNNING if doing else outcome.state if outcome else StepState.PENDING
    what = doing or (outcome.error.message if outcome and outcome.error else "") or step.title
    tool = step.tool if step.kind == "tool" else step.kind
    return f"| {_MARKS[state]}{_GAP} | {step.id}{_GAP} | {_cell(tool)}{_GAP} | {_cell(what)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:120]
