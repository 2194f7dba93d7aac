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
_ALERT = re.compile(r"\b[A-Z][a-z0-9]+(?:[A-Z]+[a-z0-9]*)+\b")


def goal_kind(goal: str) -> str:
    """The content words of a goal, sorted: its kind. Parameters are left out, so two hosts make one kind."""
    words = terms_of(_PARAMETER.sub(" ", goal))
    return " ".join(sorted(set(words) - _FILLER))[:LONGEST]


def alert_of(goal: str) -> str:
    """The alert a goal names, as alerts are named: `KubePodCrashLooping`. Empty where it names none, or several."""
    names = set(_ALERT.findall(goal))
    return names.pop()[:300] if len(names) == 1 else ""
