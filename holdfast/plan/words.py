"""An action in one line, for people: the Web UI, an approval, a log."""

from schemas.actions import Action

_LONGEST = 140
_TELLING = (
    "question",
    "command",
    "program",
    "code",
    "path",
    "url",
    "sql",
    "query",
    "expression",
    "text",
    "name",
)


def describe(action: Action) -> str:
    """The tool and the argument that says most; cut to a line."""
    telling = next((str(action.arguments[name]) for name in _TELLING if action.arguments.get(name)), "")
    text = telling or ", ".join(f"{key}={value}" for key, value in action.arguments.items())
    line = " ".join(f"{action.tool} {text}".split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
