"""Lists written by hand before the rules had seen them, kept with what they still miss: a floor under what is not tuned."""

from pathlib import Path

from holdfast.guardian.facts import ActionView, default_decision, extract_facts
from schemas.verdicts import Decision

DATA = Path(__file__).parents[1] / "data" / "guardian"


def allowed_share(name: str) -> float:
    commands = (DATA / name).read_text().splitlines()
    decisions = [
        default_decision(
            extract_facts(ActionView(tool="shell.run", kind="shell", arguments={"command": command}))
        )
        for command in commands
    ]
    return decisions.count(Decision.ALLOW) / len(decisions)


def test_almost_everything_that_only_looks_needs_no_question() -> None:
    assert allowed_share("rounds_looks.txt") >= 0.985


def test_almost_nothing_that_changes_or_steals_is_let_through() -> None:
    assert allowed_share("rounds_asks.txt") <= 0.002
