"""The two lists a reviewer can read: what must ask, and what must not need to."""

from pathlib import Path

import pytest

from holdfast.guardian.facts import ActionView, default_decision, extract_facts
from schemas.verdicts import Decision

DATA = Path(__file__).parents[1] / "data" / "guardian"


def lines(name: str) -> list[str]:
    return (DATA / name).read_text().splitlines()


def decide(command: str) -> Decision:
    return default_decision(
        extract_facts(ActionView(tool="shell.run", kind="shell", arguments={"command": command}))
    )


@pytest.mark.parametrize("command", lines("asks.txt"))
def test_nothing_that_changes_runs_hides_or_steals_is_allowed(command: str) -> None:
    heredoc_or_sequence = "<<EOF" in command or command.startswith("ls\\n")
    assert decide(command.replace("\\n", "\n") if heredoc_or_sequence else command) is not Decision.ALLOW


@pytest.mark.parametrize("command", lines("looks.txt"))
def test_everyday_reading_needs_no_question(command: str) -> None:
    assert decide(command) is Decision.ALLOW
