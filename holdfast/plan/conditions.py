"""Conditions: `${steps.disk.output.used_percent} > 90 and not ${inputs.dry_run ?? false}`.

    condition  = either, { "or", either }        either = all, { "and", all }
    all        = "not", all | "(", condition, ")" | comparison
    comparison = value, [ ("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "contains"), value ]
    value      = reference | JSON text, number, true, false, null

Total: what cannot be compared is false, except with `!=`; a bare value counts as true unless it is false, null, 0,
or empty. A reference that leads nowhere is an error, so that a misspelt condition never decides anything.
"""

import operator as operators
import re
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.plan.references import Reference, ReferenceProblem, follow, read, read_json

_TOKEN = re.compile(
    r'("(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|==|!=|<=|>=|<|>|\(|\))|([a-z]+)'
)
_SPACE = re.compile(r"\s*")
_WORDS = {"and", "or", "not", "in", "contains", "true", "false", "null"}
_COMPARISONS = {"==", "!=", "<", "<=", ">", ">=", "in", "contains"}
_ORDER = {"<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge}
_LONGEST = 200
_DEEPEST = 32


class ConditionProblem(ValueError):
    """A condition that cannot be read."""


def holds(text: str, scope: Mapping[str, Any]) -> bool:
    """Whether the condition is true in this scope."""
    return _Reader(text, scope).whole()


def references_of(text: str) -> Iterator[Reference]:
    """The references of a condition; raises ConditionProblem where it cannot be read."""
    reader = _Reader(text, None)
    reader.whole()
    yield from reader.seen


class _Reader:
    """Reads and evaluates in one pass; without a scope it only reads."""

    def __init__(self, text: str, scope: Mapping[str, Any] | None) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        self._scope = scope
        self.seen: list[Reference] = []

    def whole(self) -> bool:
        result = self._either()
        if self._peek() is not None:
            raise self._problem("something follows the end")
        return result

    def _either(self) -> bool:
        result = self._all()
        while self._take("or"):
            right = self._all()
            result = result or right
        return result

    def _all(self) -> bool:
        result = self._one()
        while self._take("and"):
            right = self._one()
            result = result and right
        return result

    def _one(self) -> bool:
        if self._peek() not in ("not", "("):
            return self._comparison()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._problem(f"more than {_DEEPEST} parentheses and nots stand in each other")
        result = not self._one() if self._take("not") else self._in_parentheses()
        self._depth -= 1
        return result

    def _in_parentheses(self) -> bool:
        self._take("(")
        result = self._either()
        if not self._take(")"):
            raise self._problem("a parenthesis is not closed")
        return result

    def _comparison(self) -> bool:
        left = self._value()
        operator = self._peek()
        if operator not in _COMPARISONS:
            return bool(left)
        self._next += 1
        return _compare(operator, left, self._value())

    def _value(self) -> Any:
        token = self._peek()
        if token is None or token in _COMPARISONS or token in ("and", "or", "not", "(", ")"):
            raise self._problem("a value is missing")
        self._next += 1
        if token.startswith("${"):
            return self._reference(token)
        value, end = read_json(token, 0)
        if end < len(token):
            raise self._problem(f"{token} is not a number")
        return value

    def _reference(self, token: str) -> Any:
        reference, _ = read(token, len("${"))
        self.seen.append(reference)
        return None if self._scope is None else follow(reference, self._scope)

    def _peek(self) -> str | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._next += 1
        return True

    def _problem(self, what: str) -> ConditionProblem:
        return ConditionProblem(f"{what} in condition {self._text[:200]!r}")


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = _past_space(text, 0)
    while position < len(text):
        start, position = position, _token_end(text, position)
        tokens.append(text[start:position])
        if len(tokens) > _LONGEST:
            raise ConditionProblem(f"a condition has at most {_LONGEST} words")
        position = _past_space(text, position)
    return tokens


def _token_end(text: str, position: int) -> int:
    """References are read by their own reader: a pattern for them would take for ever over a hostile text."""
    if text.startswith("${", position):
        return read(text, position + len("${"))[1]
    match = _TOKEN.match(text, position)
    if not match or (match.group(2) and match.group(2) not in _WORDS):
        raise ConditionProblem(f"cannot read {text[position : position + 30]!r} in condition {text[:200]!r}")
    return match.end()


def _past_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _compare(operator: str, left: Any, right: Any) -> bool:
    if operator == "==":
        return _same(left, right)
    if operator == "!=":
        return not _same(left, right)
    if operator == "in":
        return _contains(right, left)
    if operator == "contains":
        return _contains(left, right)
    return _ordered(left, right) and bool(_ORDER[operator](left, right))


def _same(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _ordered(left: Any, right: Any) -> bool:
    numbers = all(isinstance(side, int | float) and not isinstance(side, bool) for side in (left, right))
    return numbers or (isinstance(left, str) and isinstance(right, str))


def _contains(container: Any, item: Any) -> bool:
    if isinstance(container, str):
        return isinstance(item, str) and item in container
    if isinstance(container, Mapping):
        return isinstance(item, str) and item in container
    return isinstance(container, list | tuple) and any(_same(item, member) for member in container)


__all__ = ["ConditionProblem", "ReferenceProblem", "holds", "references_of"]
