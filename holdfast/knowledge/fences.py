"""The attributes of a fenced block: ```` ```shell id=usage needs=probe risk=low title="How full is it" ````."""

import re
import shlex
from dataclasses import dataclass, field

from schemas.base import JsonObject
from schemas.knowledge import BlockKind

_KINDS: dict[str, BlockKind] = {
    "shell": "shell", "sh": "shell", "bash": "shell", "console": "shell", "zsh": "shell", "shell-session": "shell",
    "python": "python", "python3": "python", "py": "python", "http": "http", "sql": "sql", "tool": "tool",
    "approval": "approval", "wait": "wait",
}  # fmt: skip
ATTRIBUTES = frozenset(
    {
        "id",
        "title",
        "needs",
        "risk",
        "output",
        "expect",
        "when",
        "for_each",
        "timeout",
        "retry",
        "on_error",
        "group",
    }
    | {"tool", "seconds", "until", "event"}
)
_PAIR = re.compile(r"^([A-Za-z_][A-Za-z0-9_.-]*)=(.*)$", re.DOTALL)


@dataclass(frozen=True)
class Fence:
    """What the line that opens a block says. `unknown` words are kept, for lint to name."""

    kind: BlockKind | None
    attributes: dict[str, str] = field(default_factory=dict)
    arguments: JsonObject = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    problem: str = ""

    @property
    def annotated(self) -> bool:
        return self.kind is not None and "id" in self.attributes


def read_fence(info: str) -> Fence:
    """Never raises: what cannot be read is told in `problem`."""
    language, _, rest = info.strip().partition(" ")
    kind = _KINDS.get(language.strip("{}").lower())
    try:
        words = shlex.split(rest.strip().strip("{}"))
    except ValueError as error:
        return Fence(kind, problem=f"the attributes cannot be read: {error}")
    attributes: dict[str, str] = {}
    arguments: JsonObject = {}
    unknown: list[str] = []
    for position, word in enumerate(words):
        pair = _PAIR.match(word)
        if pair and pair[1].startswith("args."):
            arguments[pair[1][5:]] = pair[2]
        elif pair and pair[1] in ATTRIBUTES:
            attributes[pair[1]] = pair[2]
        elif kind == "tool" and position == 0 and not pair:
            attributes["tool"] = word
        else:
            unknown.append(word)
    return Fence(kind, attributes, arguments, tuple(unknown))
