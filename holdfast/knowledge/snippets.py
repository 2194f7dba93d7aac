"""The piece of a chunk that shows why it was found, with its exact place in the document."""

from collections.abc import Collection
from dataclasses import dataclass

from holdfast.knowledge.terms import terms_of
from schemas.knowledge import Chunk

SNIPPET = 320


@dataclass(frozen=True, slots=True)
class Snippet:
    text: str
    start: int
    end: int


def best_chunk(chunks: Collection[Chunk], wanted: Collection[str], near: int | None) -> Chunk | None:
    """The chunk that the vectors point at, or else the one with most of the wanted words."""
    if near is not None:
        found = next((chunk for chunk in chunks if chunk.position == near), None)
        if found is not None:
            return found
    return max(chunks, key=lambda chunk: (_overlap(chunk.text, wanted), -chunk.position), default=None)


def snippet_of(chunk: Chunk, wanted: Collection[str]) -> Snippet:
    """The window of whole lines, about SNIPPET characters long, with most of the wanted words."""
    lines = chunk.text.splitlines(keepends=True)
    if len(chunk.text) <= SNIPPET or not lines:
        return _placed(chunk, 0, len(chunk.text))
    words = [set(wanted).intersection(terms_of(line)) for line in lines]
    best, most, at = (0, len(lines[0])), -1, 0
    for first, line in enumerate(lines):
        end, seen = at, set[str]()
        for index in range(first, len(lines)):
            if end > at and end + len(lines[index]) - at > SNIPPET:
                break
            end += len(lines[index])
            seen |= words[index]
        if len(seen) > most:
            best, most = (at, end), len(seen)
        at += len(line)
    return _placed(chunk, *best)


def _placed(chunk: Chunk, start: int, end: int) -> Snippet:
    text = chunk.text[start : min(end, start + 2 * SNIPPET)]
    lead = len(text) - len(text.lstrip())
    kept = text.strip()
    return Snippet(kept, chunk.start + start + lead, chunk.start + start + lead + len(kept))


def _overlap(text: str, wanted: Collection[str]) -> int:
    return len(set(wanted).intersection(terms_of(text)))
