"""A filter's text becomes a function from one value to many, as jq reads it. What jq knows beyond this is refused.

Grammar, loosest first: `|`  `,`  `//`  `or`  `and`  comparison  `+ -`  `* / %`  postfix (`.a` `[0]` `[]` `?`).
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.tools.builtin.text.jq_functions import FUNCTIONS, Budget, BudgetSpent, Filter, Wrong, plus
from holdfast.tools.builtin.text.jq_steps import (
    COMPARISONS,
    PRODUCTS,
    binary,
    both,
    built,
    collected,
    constant,
    each,
    identity,
    indexed,
    logical,
    minus,
    no_items,
    or_else,
    piped,
    sliced,
    tried,
)

__all__ = ["Budget", "BudgetSpent", "CannotBeRead", "Wrong", "compiled"]

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<field>\.[A-Za-z_]\w*)
    |(?P<name>[A-Za-z_]\w*)|(?P<sign>//|==|!=|<=|>=|[][(){}.,:;|<>+*/%?-]))""",
    re.VERBOSE,
)
_CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
_DEEPEST = 60


class CannotBeRead(Exception):
    """The filter is not one of ours."""


def compiled(text: str) -> Filter:
    reader = _Reader(text)
    found = reader.pipe()
    if reader.peek():
        raise CannotBeRead(f"{reader.peek()!r} is not expected")
    return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            raise CannotBeRead(f"{text[place : place + 20]!r} is not understood")
        place = match.end()
        kind = str(match.lastgroup)
        yield kind, match[kind]


class _Reader:
    """Recursive descent; each method reads one level of the grammar."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self.peek()
        self._at += 1
        return token

    def _take(self, *wanted: str) -> str:
        """The next token if it is one of these; nothing otherwise."""
        return self._next() if self._kind() in ("sign", "name") and self.peek() in wanted else ""

    def _need(self, wanted: str) -> None:
        if not self._take(wanted):
            raise CannotBeRead(f"{wanted!r} is missing before {self.peek() or 'the end'!r}")

    def pipe(self) -> Filter:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise CannotBeRead("it is nested too deep")
        found = self._comma()
        while self._take("|"):
            found = piped(found, self._comma())
        self._depth -= 1
        return found

    def _comma(self) -> Filter:
        found = self._either()
        while self._take(","):
            found = both(found, self._either())
        return found

    def _either(self) -> Filter:
        found = self._logic()
        return or_else(found, self._either()) if self._take("//") else found

    def _logic(self) -> Filter:
        found = self._compared()
        while word := self._take("and", "or"):
            found = logical(word, found, self._compared())
        return found

    def _compared(self) -> Filter:
        found = self._sum()
        if sign := self._take("==", "!=", "<", "<=", ">", ">="):
            return binary(COMPARISONS[sign], found, self._sum())
        return found

    def _sum(self) -> Filter:
        found = self._product()
        while sign := self._take("+", "-"):
            found = binary(plus if sign == "+" else minus, found, self._product())
        return found

    def _product(self) -> Filter:
        found = self._postfix()
        while sign := self._take("*", "/", "%"):
            found = binary(PRODUCTS[sign], found, self._postfix())
        return found

    def _postfix(self) -> Filter:
        found = self._term()
        while True:
            if self._kind() == "field":
                found = indexed(found, constant(self._next()[1:]))
            elif self._take("["):
                found = self._bracket(found)
            elif self._take("?"):
                found = tried(found)
            elif self.peek() == "." and self._at + 1 < len(self._tokens) and self._follows_dot():
                self._next()
            else:
                return found

    def _follows_dot(self) -> bool:
        return self._tokens[self._at + 1][1] == "["

    def _bracket(self, found: Filter) -> Filter:
        if self._take("]"):
            return each(found)
        start = None if self.peek() == ":" else self.pipe()
        if self._take(":"):
            end = None if self.peek() == "]" else self.pipe()
            self._need("]")
            return sliced(found, start or constant(None), end or constant(None))
        self._need("]")
        return indexed(found, start or constant(None))

    def _term(self) -> Filter:
        kind, token = self._kind(), self._next()
        match kind, token:
            case "number", _:
                return constant(json.loads(token))
            case "text", _:
                return constant(_text(token))
            case "field", _:
                return indexed(identity, constant(token[1:]))
            case "sign", ".":
                return self._after_dot()
            case "sign", "-":
                return binary(minus, constant(0), self._postfix())
            case "sign", "(":
                found = self.pipe()
                self._need(")")
                return found
            case "sign", "[":
                return self._array()
            case "sign", "{":
                return self._object()
            case "name", _:
                return self._named(token)
            case _:
                raise CannotBeRead(f"{token or 'the end'!r} is not expected")

    def _after_dot(self) -> Filter:
        if self._kind() == "text":
            return indexed(identity, constant(_text(self._next())))
        return identity

    def _array(self) -> Filter:
        if self._take("]"):
            return no_items
        inner = self.pipe()
        self._need("]")
        return collected(inner)

    def _object(self) -> Filter:
        pairs: list[tuple[Filter, Filter]] = []
        while not self._take("}"):
            pairs.append(self._pair())
            if not self._take(","):
                self._need("}")
                break
        return built(pairs)

    def _pair(self) -> tuple[Filter, Filter]:
        if self._take("("):
            key = self.pipe()
            self._need(")")
            self._need(":")
            return key, self._either()
        kind, token = self._kind(), self._next()
        if kind not in ("name", "text"):
            raise CannotBeRead(f"{token!r} is no name of a field")
        name = token if kind == "name" else _text(token)
        key = constant(name)
        return key, self._either() if self._take(":") else indexed(identity, key)

    def _named(self, name: str) -> Filter:
        if name in _CONSTANTS:
            return constant(_CONSTANTS[name])
        given = []
        if self._take("("):
            given.append(self.pipe())
            while self._take(";"):
                given.append(self.pipe())
            self._need(")")
        function = FUNCTIONS.get((name, len(given)))
        if function is None:
            known = ", ".join(sorted({known for known, _ in FUNCTIONS}))
            raise CannotBeRead(f"{name}/{len(given)} is not known; known are {known}")
        return function(*given)


def _text(token: str) -> str:
    if "\\(" in token:
        raise CannotBeRead("text with \\(…) is not known; use +")
    try:
        value: str = json.loads(token)
    except ValueError as error:
        raise CannotBeRead(f"{token} is no text") from error
    return value
