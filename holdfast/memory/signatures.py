"""What a goal is about once its names, numbers and paths are taken out, so that its next wording may meet it."""

import re

from holdfast.knowledge.terms import terms_of

_PARAMETER = re.compile(
    r"[\w.-]*[/\\][\w./\\-]*|\b[\w-]*\d[\w.:-]*\b|[`'\"][^`'\"]{1,80}[`'\"]|\b[\w-]+\.[\w.-]+\b"
)
_FILLER = frozenset(
    {
        "pleas",
        "can",
        "could",
        "let",
        "make",
        "get",
        "find",
        "help",
        "need",
        "want",
        "tell",
        "go",
        "now",
        "someth",
    }
)
LONGEST = 400


def goal_kind(goal: str) -> str:
    """The content words of a goal, sorted: its kind. Parameters are left out, so two hosts make one kind."""
    words = terms_of(_PARAMETER.sub(" ", goal))
    return " ".join(sorted(set(words) - _FILLER))[:LONGEST]
