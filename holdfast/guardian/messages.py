"""The message of a rule, with what it saw filled in: `{facts.outside_workspace}` becomes the paths."""

import re
from typing import Any

from holdfast.guardian.gist import named, printable
from holdfast.guardian.source import ConditionProblem
from holdfast.guardian.vocabulary import ARGUMENTS, TYPES, View

_BLANK = re.compile(r"\{([^{}]*)\}")
_LONGEST = 400


def fill(message: str, view: View) -> str:
    """Blanks are filled with printable text only: the message is shown in terminals, and the values are the agent's."""
    return _BLANK.sub(lambda blank: _said(view.value(blank.group(1))), message)[:_LONGEST]


def check_message(message: str) -> None:
    """Raises ConditionProblem for a blank nobody can fill."""
    for name in _BLANK.findall(message):
        if name not in TYPES or name == ARGUMENTS:
            raise ConditionProblem(
                f"its message asks for {{{name}}}, which is not one of: {', '.join(sorted(TYPES))}"
            )


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return named(value) or "nothing"
    if not isinstance(value, str):
        return "" if value is None else str(value)
    # Long texts are composed of parts that were cut and made printable one by one.
    return "".join(printable(value[at : at + 80]) for at in range(0, len(value), 80))
