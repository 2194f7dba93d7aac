"""Cuts a document where its author did: at headings, then between paragraphs and code, and only then inside them.

A chunk is an exact span of the text, so that a citation can point at it, and carries the headings above it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.knowledge.blocks import Block, read_blocks
from schemas.canonical import digest_of_bytes
from schemas.knowledge import Chunk, Media

CHUNK_WORDS = 180
_LONGEST_WORD = 16
"""In bytes: what is written in one letter a word has longer ones."""


@dataclass(frozen=True, slots=True)
class _Span:
    path: tuple[str, ...]
    start: int
    end: int
    words: int
    code: bool


def cut(text: str, media: Media, *, title: str, offset: int = 0) -> list[Chunk]:
    """The chunks of a text from `offset` on; its front matter stands before that."""
    body = text[offset:]
    spans = _packed(_spans(read_blocks(body, media), title, body))
    return [_chunk(text, span, offset, position) for position, span in enumerate(spans)]


def _chunk(text: str, span: _Span, offset: int, position: int) -> Chunk:
    start, end = span.start + offset, span.end + offset
    raw = text[start:end]
    start += len(raw) - len(raw.lstrip("\n"))
    end -= len(raw) - len(raw.rstrip())
    kept = text[start:end]
    digest = digest_of_bytes("\n".join((*span.path, kept)).encode("utf-8", "replace"))
    return Chunk(
        position=position, path=span.path, start=start, end=end, text=kept, code=span.code, digest=digest
    )


def _spans(blocks: list[Block], title: str, body: str) -> Iterator[_Span]:
    path: list[tuple[int, str]] = []
    for block in blocks:
        if block.kind == "heading":
            path = [above for above in path if above[0] < block.level]
            path.append((block.level, block.text))
            continue
        names = tuple(name for _, name in path if name and name != title)
        yield from _pieces(block, names, body)


def _pieces(block: Block, path: tuple[str, ...], body: str) -> Iterator[_Span]:
    """A block, or its lines in groups where the block alone is more than a chunk."""
    words, first = 0, block.start
    at = block.start
    for line in body[block.start : block.end].splitlines(keepends=True):
        count = _words(line)
        if words and words + count > CHUNK_WORDS:
            yield _Span(path, first, at, words, block.kind == "code")
            words, first = 0, at
        words += count
        at += len(line)
        if words > CHUNK_WORDS:
            yield from _slices(path, first, at, body, code=block.kind == "code")
            words, first = 0, at
    if words:
        yield _Span(path, first, at, words, block.kind == "code")


def _slices(path: tuple[str, ...], first: int, end: int, body: str, *, code: bool) -> Iterator[_Span]:
    """One very long line, cut between words; cut anywhere where it has none."""
    limit = CHUNK_WORDS * 8
    while first < end:
        stop = min(end, first + limit)
        if stop < end and (space := body.rfind(" ", first + 1, stop)) > first:
            stop = space
        yield _Span(path, first, stop, _words(body[first:stop]), code)
        first = stop


def _words(text: str) -> int:
    """So many words, or as many as it would be long: some languages, and data on one line, have no spaces."""
    return max(len(text.split()), len(text.encode("utf-8", "replace")) // _LONGEST_WORD)


def _packed(spans: Iterator[_Span]) -> Iterator[_Span]:
    """Neighbours under one heading, together up to the size of a chunk."""
    held: _Span | None = None
    for span in spans:
        if held and held.path == span.path and held.words + span.words <= CHUNK_WORDS:
            held = _Span(held.path, held.start, span.end, held.words + span.words, held.code and span.code)
            continue
        if held:
            yield held
        held = span
    if held:
        yield held
