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
    best, best_score, at = (0, len(lines[0]) if lines else 0), -1, 0
    for index, _ in enumerate(lines):
        end, stop = at, index
        while stop < len(lines) and (end == at or end + len(lines[stop]) - at <= SNIPPET):
            end += len(lines[stop])
            stop += 1
        score = _overlap(chunk.text[at:end], wanted)
        if score > best_score:
            best, best_score = (at, end), score
        at += len(lines[index])
    start, end = best
    text = chunk.text[start : min(end, start + 2 * SNIPPET)]
    lead = len(text) - len(text.lstrip())
    kept = text.strip()
    return Snippet(kept, chunk.start + start + lead, chunk.start + start + lead + len(kept))


def _overlap(text: str, wanted: Collection[str]) -> int:
    return len(set(wanted).intersection(terms_of(text)))
