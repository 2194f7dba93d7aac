"""The text of a condition, read far enough to bound it before the compiler sees it.

The compiler checks names and types, but neither regular expressions nor how deep its own recursion will go on text
that somebody wrote to hurt it; so those are found here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LONGEST = 4000
DEEPEST = 24
_LONGEST_REGEX = 500
_UNARY_RUN = re.compile(r"(?:[!-]\s*){9}")
_BIG_COUNT = re.compile(r"\{\s*\d*\s*,?\s*\d{3,}")
_TOKEN = re.compile(
    r"""
      (?P<space>\s+ | //[^\n]*)
    | (?P<string>
          [bB]?[rR][bB]?(?:'''.*?'''|\"\"\".*?\"\"\"|'[^'\n]*'|"[^"\n]*")
        | [bB]?(?:'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
      )
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class ConditionProblem(ValueError):
    """A condition that cannot be accepted; the message says why, in words for its author."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str


def read(text: str) -> Sequence[Token]:
    """The tokens of a condition that is small and shallow enough. Raises ConditionProblem."""
    if len(text) > LONGEST:
        raise ConditionProblem(f"it has {len(text)} characters; {LONGEST} are allowed")
    if not text.isprintable() and any(not c.isprintable() and c not in "\n\t\r" for c in text):
        raise ConditionProblem("it holds characters that cannot be printed")
    tokens = [Token(m.lastgroup or "", m.group()) for m in _TOKEN.finditer(text) if m.lastgroup != "space"]
    _bound_depth(tokens)
    return tokens


def _bound_depth(tokens: Sequence[Token]) -> None:
    depth = 0
    for token in tokens:
        if token.kind != "other":
            continue
        if token.text in "([{":
            depth += 1
        elif token.text in ")]}":
            depth -= 1
        if depth > DEEPEST:
            raise ConditionProblem(f"it is nested deeper than {DEEPEST} levels")
    code = "".join(token.text for token in tokens if token.kind == "other")
    if _UNARY_RUN.search(code):
        raise ConditionProblem("it repeats ! or - more than eight times in a row")


def variables(tokens: Sequence[Token]) -> frozenset[str]:
    """Every `word.word` that stands in the text: a superset of the variables it reads."""
    return frozenset(
        f"{first.text}.{third.text}"
        for first, second, third in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if first.kind == "name" and second.text == "." and third.kind == "name"
    )


def regexes(tokens: Sequence[Token]) -> Iterator[str]:
    """The argument of every `.matches(…)`: a literal, or `params.name`. Anything else could not be checked."""
    for index, token in enumerate(tokens):
        if token.kind != "name" or token.text != "matches":
            continue
        argument = _argument(tokens, index)
        if argument is None:
            raise ConditionProblem(
                "write text.matches('…') with a literal or params.name as its regular expression"
            )
        yield argument


def _argument(tokens: Sequence[Token], index: int) -> str | None:
    after = [token.text for token in tokens[index + 1 : index + 6]]
    if index == 0 or tokens[index - 1].text != "." or len(after) < 3 or after[0] != "(":
        return None
    if tokens[index + 2].kind == "string" and after[2] == ")":
        return after[1]
    if after[1:3] == ["params", "."] and after[4:] == [")"]:
        return f"params.{after[3]}"
    return None


def bound_regex(text: str) -> None:
    """Linear time is the engine's promise; this keeps the factor small."""
    if len(text) > _LONGEST_REGEX:
        raise ConditionProblem(
            f"a regular expression has {len(text)} characters; {_LONGEST_REGEX} are allowed"
        )
    if _BIG_COUNT.search(text):
        raise ConditionProblem("a regular expression repeats something 100 times or more")


def conjuncts(tokens: Sequence[Token]) -> Sequence[Sequence[Token]]:
    """The parts that must all hold, where the condition is a plain `a && b && c`; otherwise the whole as one."""
    parts: list[list[Token]] = [[]]
    depth = 0
    previous = ""
    for token in tokens:
        text = token.text if token.kind == "other" else ""
        depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
        if depth == 0 and (text == "?" or (text == "|" and previous == "|")):
            return [list(tokens)]
        if depth == 0 and text == "&" and previous == "&":
            parts[-1].pop()
            parts.append([])
        else:
            parts[-1].append(token)
        previous = text
    return parts
