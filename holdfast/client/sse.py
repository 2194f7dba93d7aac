"""Reads lines, and server-sent events from lines, as the HTML standard describes them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    id: str
    event: str
    data: str


async def lines_of(pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    """Lines that end with a line feed. Unicode knows more ends of lines, which JSON may hold as they are."""
    left = ""
    async for piece in pieces:
        *whole, left = (left + piece).split("\n")
        for line in whole:
            yield line.removesuffix("\r")
    if left:
        yield left


async def read_events(lines: AsyncIterator[str]) -> AsyncIterator[ServerEvent]:
    """Whole events only: one that was cut off is not told, and comes again after reconnecting."""
    fields: dict[str, str] = {}
    data: list[str] = []
    async for line in lines:
        if not line:
            if data:
                yield ServerEvent(fields.get("id", ""), fields.get("event", "message"), "\n".join(data))
            fields, data = {}, []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name:
            fields[name] = value
