"""The two lists a reviewer can read: what must ask, and what must not need to."""

from pathlib import Path

from holdfast.guardian.facts import ActionView, default_decision, extract_facts
from schemas.verdicts import Decision

DATA = Path(__file__).parents[1] / "data" / "guardian"


def lines(name: str) -> list[str]:
    return (DATA / name).read_text().splitlines()


def decide(command: str) -> Decision:
    return default_decision(
        extract_facts(ActionView(tool="shell.run", kind="shell", arguments={"command": command}))
    )


def unfolded(command: str) -> str:
    """In the list, `\\n` stands for a new line in here-documents and sequences; elsewhere it is what it says."""
    return (
        command.replace("\\n", "\n")
        if "<<EOF" in command or command.startswith(("ls\\n", "nice "))
        else command
    )


def test_nothing_that_changes_runs_hides_or_steals_is_allowed() -> None:
    assert [command for command in lines("asks.txt") if decide(unfolded(command)) is Decision.ALLOW] == []


def test_everyday_reading_needs_no_question() -> None:
    assert [command for command in lines("looks.txt") if decide(command) is not Decision.ALLOW] == []
