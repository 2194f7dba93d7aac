"""What a server's bytes may become. An answer that is too large or unreadable is replaced by a refusal of the same request,
so that its call ends at once, and as what it is."""

import json
import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from holdfast.tools.plain import plain
from schemas.base import JsonObject

TOO_LARGE, UNREADABLE = -32090, -32091
"""Codes of refusals that we write in a server's place."""

_LEAST_BYTES = 1_000_000
_SIDE_BYTES = 2_000
_MOST_CONTAINERS = 400_000
_ID = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*[,}]')


def most_bytes(result_bytes: int) -> int:
    """How much of an answer is read so that `result_bytes` of it may be kept: escapes and frames take room too."""
    return max(_LEAST_BYTES, 4 * result_bytes)


def addressee(message: JsonObject, waiting: AbstractSet[int]) -> int | None:
    """The request that an answer is for. Its number may come back as text, as other clients take it too; a refusal
    without a number is that of the only one who waits."""
    named = message.get("id")
    if isinstance(named, str) and named.isascii() and named.isdigit():
        named = int(named)
    if named is None and "error" in message and len(waiting) == 1:
        return next(iter(waiting))
    return int(named) if isinstance(named, int | float) and named in waiting else None


@dataclass
class Line:
    """One line as it comes in. Of one that is longer than `most`, only both ends are held."""

    most: int
    size: int = 0
    held: bytearray = field(default_factory=bytearray)
    refused: bool = False

    @property
    def over(self) -> bool:
        return self.size > self.most

    def feed(self, piece: bytes) -> None:
        self.size += len(piece)
        self.held += piece
        if self.over:
            del self.held[_SIDE_BYTES:-_SIDE_BYTES]


def message_in(line: bytes) -> JsonObject | None:
    """What the line asks of us, or answers. None where nobody waits for it: a notification, a log line, broken JSON that
    names no request."""
    try:
        found = json.loads(line) if line.count(b"[") + line.count(b"{") <= _MOST_CONTAINERS else None
    except (ValueError, RecursionError):
        request = meant(line, frozenset())
        return None if request is None else refusal(request, UNREADABLE)
    if found is None:
        request = meant(line, frozenset())
        return None if request is None else refusal(request, TOO_LARGE)
    if not isinstance(found, dict) or "id" not in found:
        return None
    message: JsonObject = plain(found)
    return message


def meant(line: bytes, waiting: AbstractSet[int]) -> int | None:
    """The request that a broken answer belongs to: the one it names, or the only one that waits."""
    if is_said_unasked(line):
        return None
    named = [int(found) for found in _ID.findall(line)]
    fitting = [request for request in named if request in waiting] if waiting else named
    if fitting:
        return fitting[0]
    return next(iter(waiting)) if len(waiting) == 1 else None


def is_said_unasked(line: bytes) -> bool:
    """Notifications and requests of the server's own name a method near their start; answers never do."""
    return b'"method"' in line[:_SIDE_BYTES]


def refusal(request: int, code: int) -> JsonObject:
    words = "too large" if code == TOO_LARGE else "unreadable"
    return {"jsonrpc": "2.0", "id": request, "error": {"code": code, "message": words}}
