"""Guards: something that must be among the facts for a rule to match, so that most rules need not be asked at all.

A condition `'kubectl' in facts.binaries && …` cannot hold where `kubectl` is not among the binaries, whatever the rest
says, even where the rest cannot be evaluated: CEL's `&&` is false if either side is. In the same way `exists` is false
over an empty list. So leaving such a rule out changes no answer.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from holdfast.guardian.rules import Rule
from holdfast.guardian.source import Token, conjuncts
from holdfast.guardian.vocabulary import HEAVY, TYPES, View

_LISTS = frozenset(name for name, kind in TYPES.items() if kind.name() == "LIST<STRING>")
_TEXTS = frozenset(name for name, kind in TYPES.items() if kind.name() == "STRING") - HEAVY
_SWITCHES = frozenset(name for name, kind in TYPES.items() if kind.name() == "BOOL")
_PRESENT = "present"

Kind = Literal["member", "binary", "equal", "filled", "switch"]


@dataclass(frozen=True)
class Guard:
    """`kind` orders guards by how many rules they tell apart, best first."""

    kind: Kind
    variable: str
    value: str = _PRESENT

    @property
    def place(self) -> tuple[Kind, str]:
        return (self.kind, self.variable)


def guard_of(rule: Rule) -> Guard | None:
    """The best guard of its `when`, if there is one."""
    if rule.when is None:
        return None
    found = [guard for part in conjuncts(rule.when.tokens) if (guard := _guard(part))]
    return min(found, key=lambda guard: _ORDER.index(guard.kind), default=None)


def values_of(place: tuple[Kind, str], view: View) -> Collection[str]:
    """The values that are there for guards of one place."""
    kind, variable = place
    return _VALUES[kind](view, variable)


_VALUES: dict[Kind, Callable[[View, str], Collection[str]]] = {
    "member": lambda view, variable: set(view.light[variable]),
    "binary": lambda view, _: {command.binary for command in view.facts.commands},
    "equal": lambda view, variable: (view.light[variable],),
    "filled": lambda view, variable: (_PRESENT,) if view.light[variable] else (),
    "switch": lambda view, variable: (_PRESENT,) if view.light[variable] else (),
}
_ORDER: tuple[Kind, ...] = tuple(_VALUES)


def _guard(part: Sequence[Token]) -> Guard | None:
    texts = [token.text for token in part]
    if len(part) == 3 and _name(texts) in _SWITCHES:
        return Guard("switch", _name(texts))
    if len(part) == 5 and texts[1] == "in":
        return _with_literal("member", part[0], _name(texts[2:]), _LISTS)
    if len(part) == 6 and texts[3:5] == ["=", "="]:
        return _with_literal("equal", part[5], _name(texts[:3]), _TEXTS)
    if len(part) == 6 and texts[1:3] == ["=", "="]:
        return _with_literal("equal", part[0], _name(texts[3:]), _TEXTS)
    if texts[:2] == ["size", "("] and texts[5:] == [")", ">", "0"] and _name(texts[2:5]) in _LISTS:
        return Guard("filled", _name(texts[2:5]))
    return _of_exists(part, texts)


def _of_exists(part: Sequence[Token], texts: Sequence[str]) -> Guard | None:
    """`facts.hosts.exists(host, …)` needs a host; `facts.commands.exists(c, c.binary == 'rm' && …)` needs an rm."""
    if len(part) < 9 or texts[3:6] != [".", "exists", "("] or texts[7] != "," or not _closes_last(texts, 5):
        return None
    name = _name(texts[:3])
    if name in _LISTS:
        return Guard("filled", name)
    if name != "facts.commands":
        return None
    for inner in conjuncts(part[8:-1]):
        words = [token.text for token in inner]
        if len(inner) == 6 and words[:5] == [texts[6], ".", "binary", "=", "="]:
            literal = _literal(inner[5])
            return Guard("binary", name, literal) if literal is not None else None
    return None


def _closes_last(texts: Sequence[str], opening: int) -> bool:
    """Whether the bracket that opens here is closed by the last token, and not before."""
    depth = 0
    for index in range(opening, len(texts)):
        depth += (texts[index] in ("(", "[", "{")) - (texts[index] in (")", "]", "}"))
        if depth == 0:
            return index == len(texts) - 1
    return False


def _with_literal(kind: Kind, token: Token, name: str, among: frozenset[str]) -> Guard | None:
    literal = _literal(token)
    return Guard(kind, name, literal) if literal is not None and name in among else None


def _literal(token: Token) -> str | None:
    """The text of a plain string; one with escapes or a prefix is not worth reading."""
    text = token.text
    plain = (
        token.kind == "string" and text[0] in "'\"" and text[:3] not in ("'''", '"""') and "\\" not in text
    )
    return text[1:-1] if plain else None


def _name(texts: Sequence[str]) -> str:
    return "".join(texts[:3])
