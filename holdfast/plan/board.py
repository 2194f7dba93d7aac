"""The run as the Temporal Web UI shows it: the plan as a Markdown table with live states."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.plans import Plan, Step, StepState
from schemas.runs import StepOutcome

_MARKS = {
    StepState.PENDING: "·",
    StepState.RUNNING: "▶",
    StepState.WAITING: "…",
    StepState.SUCCEEDED: "✔",
    StepState.FAILED: "✘",
    StepState.SKIPPED: "↷",
    StepState.DENIED: "⊘",
    StepState.UNKNOWN: "?",
    StepState.CANCELLED: "–",
}
_GOOD = (StepState.SUCCEEDED, StepState.SKIPPED)
_BAD = {
    "failed": (StepState.FAILED, StepState.UNKNOWN),
    "denied": (StepState.DENIED,),
    "given up": (StepState.CANCELLED,),
}
_ROWS = 60
_LONGEST_CELL = 120
_LONGEST_WHY = 400
# The Web UI sets columns without any space between them, and trims what it takes for space.
_GAP = "\u00a0\u00a0\u200b"


@dataclass(frozen=True)
class Doing:
    """What a step under way is at."""

    what: str
    waits: bool = False

    @property
    def state(self) -> StepState:
        return StepState.WAITING if self.waits else StepState.RUNNING


def board(
    plan: Plan | None,
    outcomes: Mapping[str, StepOutcome],
    active: Mapping[str, Doing],
    status: str,
    why: str = "",
) -> str:
    """`active` names the steps under way; `why` says how the run came to its status."""
    because = ["", _line(why, _LONGEST_WHY)] if why else []
    if plan is None:
        return "\n".join([f"**{status}**", *because])
    shown = plan.steps if len(plan.steps) <= _ROWS else [s for s in plan.steps if s.id in active][:_ROWS]
    lines = [
        f"**{status}** · {_counts(plan, outcomes)}",
        *because,
        "",
        "| | step | tool | what |",
        "|---|---|---|---|",
    ]
    lines += [_row(step, outcomes.get(step.id), active.get(step.id)) for step in shown]
    return "\n".join(lines)


def _counts(plan: Plan, outcomes: Mapping[str, StepOutcome]) -> str:
    states = [outcomes[step.id].state for step in plan.steps if step.id in outcomes]
    told = [f"{sum(map(_GOOD.__contains__, states))} of {len(plan.steps)} steps done"]
    for name, kinds in _BAD.items():
        if count := sum(map(kinds.__contains__, states)):
            told.append(f"{count} {name}")
    return ", ".join(told)


def _row(step: Step, outcome: StepOutcome | None, doing: Doing | None) -> str:
    state = doing.state if doing else outcome.state if outcome else StepState.PENDING
    what = (
        (doing.what if doing else "")
        or (outcome.error.message if outcome and outcome.error else "")
        or step.title
    )
    tool = step.tool if step.kind == "tool" else step.kind
    return f"| {_MARKS[state]}{_GAP} | {step.id}{_GAP} | {_cell(tool)}{_GAP} | {_cell(what)} |"


def _cell(text: str) -> str:
    return _line(text.replace("|", "\\|"), _LONGEST_CELL)


def _line(text: str, longest: int) -> str:
    return text.replace("\n", " ")[:longest]
