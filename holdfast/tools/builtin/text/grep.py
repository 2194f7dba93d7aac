"""`text.grep`: the lines of a text that match. Patterns are RE2's, whose time is linear in the text, whatever they say."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from cel_expr_python import cel
from pydantic import Field

from holdfast.errors import InvalidInput, TooLarge
from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload, Request
from schemas.tools import EffectClass, Lane, ToolExample

_MOST_LINES = 10_000
_AT_ONCE = 100
_LINE_CHARS = 2_000
_REMEDY = "It is RE2's: no look-around, no back-references. `fixed` takes it as plain text."


class Grep(Request):
    text: str = Field(max_length=1_000_000)
    pattern: str = Field(
        min_length=1, max_length=500, description="An RE2 expression, or a text with `fixed`."
    )
    fixed: bool = Field(default=False, description="The pattern is plain text.")
    ignore_case: bool = False
    invert: bool = Field(default=False, description="The lines that do not match.")
    limit: int = Field(default=200, ge=1, le=2000)


class Match(Payload):
    line: int
    text: str


class Matches(Payload):
    matches: tuple[Match, ...]
    count: int = Field(description="All lines that match, also those not shown.")

    def told(self) -> str:
        return f"{self.count} lines match"


@declared(
    "text.grep",
    effect=EffectClass.READ_ONLY,
    lane=Lane.FAST,
    timeout_s=10,
    outside=True,
    examples=(
        ToolExample(
            title="Failed units",
            arguments={"text": "a.service failed\nb.service ok", "pattern": "failed$"},
            output={"count": 1},
        ),
    ),
)
async def grep(arguments: Grep, context: ToolContext) -> Matches:  # noqa: ARG001 - the shape of a tool
    """Finds the lines of a text that match a regular expression (RE2) or hold a fixed text."""
    lines = arguments.text.splitlines()
    if len(lines) > _MOST_LINES:
        raise TooLarge(
            f"The text has {len(lines)} lines; {_MOST_LINES} are the most.",
            remedy="Write it to the workspace and use files.search.",
        )
    kept = await (_fixed(lines, arguments) if arguments.fixed else _matching(lines, arguments))
    chosen = [number for number, matches in enumerate(kept) if matches is not arguments.invert]
    shown = (Match(line=number + 1, text=lines[number][:_LINE_CHARS]) for number in chosen[: arguments.limit])
    return Matches(matches=tuple(shown), count=len(chosen))


async def _fixed(lines: Sequence[str], arguments: Grep) -> list[bool]:
    if not arguments.ignore_case:
        return [arguments.pattern in line for line in lines]
    wanted = arguments.pattern.casefold()
    return [wanted in line.casefold() for line in lines]


async def _matching(lines: Sequence[str], arguments: Grep) -> list[bool]:
    """In small pieces: the process has other runs to serve in between."""
    expression, environment = _compiled(arguments)
    kept: list[bool] = []
    for number, line in enumerate(lines):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
        kept.append(expression.eval(environment.Activation({"line": line})).value())
    return kept


def _compiled(arguments: Grep) -> tuple[Any, Any]:
    flags = "(?i)" if arguments.ignore_case else ""
    literal = json.dumps(flags + arguments.pattern, ensure_ascii=False)
    environment = cel.NewEnv(variables={"line": cel.Type.STRING})
    try:
        expression = environment.compile(f"line.matches({literal})")
        tried = expression.eval(environment.Activation({"line": ""})).value()
    except (RuntimeError, TypeError, ValueError) as error:
        raise InvalidInput(f"The pattern cannot be read: {str(error)[:200]}", remedy=_REMEDY) from error
    if not isinstance(tried, bool):
        said = str(tried).removeprefix("INVALID_ARGUMENT: ")
        raise InvalidInput(f"The pattern cannot be read: {said[:200]}", remedy=_REMEDY)
    return expression, environment
