"""What a tool brought, as JSON that every store takes: no NaN, no lone half of a character, no NUL, no bottomless nesting."""

import math
import re
from collections.abc import Mapping
from typing import Any

DEEPEST = 100
_CHARS_AN_ITEM = 8
_TOO_DEEP = f"… nested deeper than {DEEPEST} levels …"
_UNFIT = re.compile("[\0\ud800-\udfff]")


def plain(value: Any, depth: int = 0) -> Any:
    """The same value, with a mark in place of what cannot be kept. Texts lose nothing but such characters."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        if depth >= DEEPEST:
            return _TOO_DEEP
        return {plain_text(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return _TOO_DEEP if depth >= DEEPEST else [plain(item, depth + 1) for item in value]
    return value


def larger_than(most: int, value: Any) -> bool:
    """Whether it holds more characters than that, as far as one must look to know."""
    left, waiting = most, [value]
    while waiting and left >= 0:
        found = waiting.pop()
        left -= len(found) if isinstance(found, str | bytes) else _CHARS_AN_ITEM
        if isinstance(found, Mapping):
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, list | tuple):
            waiting += found
    return left < 0


def plain_text(text: str) -> str:
    return _UNFIT.sub("�", text)
