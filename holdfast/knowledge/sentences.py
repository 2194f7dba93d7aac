"""The first sentences of a document, each with a vector of its own: a symptom is said in one sentence, and early."""

import re
from collections.abc import Iterator, Sequence

from schemas.knowledge import Chunk

KEPT = 20
SHORTEST, LONGEST = 25, 400
_CODE = re.compile(r"```.*?(```|\Z)", re.DOTALL)
_BREAK = re.compile(r"(?<=[.!?])\s+|\n\s*\n|\n(?=\s*[-*] )")


def first_sentences(chunks: Sequence[Chunk]) -> list[str]:
    """At most KEPT sentences of prose, in order."""
    found: list[str] = []
    for sentence in _sentences(chunks):
        found.append(sentence)
        if len(found) == KEPT:
            break
    return found


def _sentences(chunks: Sequence[Chunk]) -> Iterator[str]:
    for chunk in chunks:
        if chunk.code:
            continue
        for part in _BREAK.split(_CODE.sub("", chunk.text)):
            sentence = " ".join(part.split())
            if len(sentence) > SHORTEST:
                yield sentence[:LONGEST]
