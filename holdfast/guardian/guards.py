"""Guards: a value that must be among the facts for a rule to match, so that most rules need not be asked at all.

A condition `'kubectl' in facts.binaries && …` cannot hold where `kubectl` is not among the binaries, whatever the rest
says, even where the rest cannot be evaluated: CEL's `&&` is false if either side is. So leaving such a rule out
changes no answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.guardian.rules import Rule
from holdfast.guardian.source import Token, conjuncts
from holdfast.guardian.vocabulary import ARGUMENTS, TYPES

_LISTS = frozenset(name for name, kind in TYPES.items() if kind.name() == "LIST<STRING>")
_TEXTS = frozenset(name for name, kind in TYPES.items() if kind.name() == "STRING")


@dataclass(frozen=True)
class Guard:
    variable: str
    value: str


def guard_of(rule: Rule) -> Guard | None:
    """The first guard of its `when`; lists before texts, since they tell more rules apart."""
    if rule.when is None:
        return None
    found = [guard for part in conjuncts(rule.when.tokens) if (guard := _guard(part))]
    return min(found, key=lambda guard: guard.variable not in _LISTS, default=None)


def _guard(part: Sequence[Token]) -> Guard | None:
    texts = [token.text for token in part]
    if len(part) == 5 and texts[1] == "in":
        return _named(part[0], part[2:], _LISTS)
    if len(part) == 6 and texts[3:5] == ["=", "="]:
        return _named(part[5], part[:3], _TEXTS)
    if len(part) == 6 and texts[1:3] == ["=", "="]:
        return _named(part[0], part[3:], _TEXTS)
    return None


def _named(literal: Token, variable: Sequence[Token], among: frozenset[str]) -> Guard | None:
    name = "".join(token.text for token in variable)
    if literal.kind != "string" or name not in among or name == ARGUMENTS:
        return None
    text = literal.text
    if text[0] not in "'\"" or text[:3] in ("'''", '"""') or "\\" in text:
        return None
    return Guard(name, text[1:-1])
