"""What the index keeps of a document: its words with their weights, and the texts that get a vector.

A document has one vector of its own, the mean of its lead, its whole, and title and lead in plain words; each chunk has
one, under the document's title; and so has each of its first sentences, and each question that it is known to answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.knowledge.bm25 import (
    LEAD_MEANING_WEIGHT,
    LEAD_WEIGHT,
    MEANING_WEIGHT,
    QUESTION_WEIGHT,
    TITLE_WEIGHT,
)
from holdfast.knowledge.glossary import Plain, said_plainly
from holdfast.knowledge.kin import with_kinds
from holdfast.knowledge.ports import Vectors
from holdfast.knowledge.reading import Reading
from holdfast.knowledge.sentences import first_sentences
from holdfast.knowledge.terms import count_terms, split_words
from schemas.canonical import digest_of_bytes
from schemas.knowledge import Chunk, Document

PLAIN_TITLE, PLAIN_LEAD = 1.0, 3.0
"""What a title in plain words, alone and with its lead, weighs in a document's vector; lead and whole weigh one each."""
_LEAD_CHARS = 600

DOCUMENT = -1
"""The position of a document's own vector. Its questions and first sentences follow below: -2, -3, …"""


@dataclass(frozen=True, slots=True)
class View:
    """A text that gets a vector, the place that vector is for, and how much it counts among others of that place."""

    position: int
    text: str
    weight: float = 1.0

    @property
    def digest(self) -> str:
        return digest_of_bytes(self.text.encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Entry:
    reading: Reading
    frequencies: dict[str, float]
    length: float
    views: tuple[View, ...]


def entry_of(reading: Reading, lent: Sequence[str] = ()) -> Entry:
    """`lent` are words of the alert rules that name this document; they count as questions it answers."""
    document = reading.document
    title, lead = said_plainly(document.title), said_plainly(reading.lead[:_LEAD_CHARS])
    frequencies = count_terms(
        [
            (spelt(document.title), TITLE_WEIGHT),
            (reading.lead, LEAD_WEIGHT),
            (reading.body, 1.0),
            *((meaning, MEANING_WEIGHT) for meaning in title.meant),
            *((meaning, LEAD_MEANING_WEIGHT) for meaning in lead.meant if meaning not in title.meant),
            *((question, QUESTION_WEIGHT) for question in (*document.questions, *lent)),
        ]
    )
    views = tuple(_views(reading, lent, title, lead))
    return Entry(reading, with_kinds(frequencies), float(sum(frequencies.values())), views)


def _views(reading: Reading, lent: Sequence[str], plain: Plain, plain_lead: Plain) -> list[View]:
    document, title = reading.document, spelt(reading.document.title)
    own = [View(DOCUMENT, text) for text in (f"{title}\n{reading.lead}", f"{title}\n{reading.body}")]
    own += [View(DOCUMENT, plain.said, PLAIN_TITLE)] if plain.meant else []
    if plain.meant or plain_lead.meant:
        own.append(View(DOCUMENT, f"{plain.said}\n{plain_lead.said}", PLAIN_LEAD))
    said = [*document.questions, *lent, *first_sentences(reading.chunks)]
    sayings = [View(DOCUMENT - 1 - at, text) for at, text in enumerate(said)]
    return own + sayings + [View(chunk.position, chunk_text(document, chunk)) for chunk in reading.chunks]


def chunk_text(document: Document, chunk: Chunk) -> str:
    """A chunk as it is embedded: it is the title that says what a passage is about."""
    return f"{' > '.join((spelt(document.title), *chunk.path))}\n{chunk.text}"


def spelt(title: str) -> str:
    """`KubeNodeNotReady` reads as `Kube Node Not Ready`: a tokenizer knows words, not humps."""
    if " " in title.strip():
        return title
    words = split_words(title)
    return " ".join(words[:-1]) if len(words) > 1 and words[-1] == title else title


def placed(views: Sequence[View], vectors: Vectors) -> list[tuple[int, Vectors]]:
    """One vector for each position: views of one position are averaged, and lose no length by it.

    A mean of unit vectors is shorter than one; its product with a query is then the mean of the products.
    """
    rows: dict[int, list[tuple[Vectors, float]]] = {}
    for view, vector in zip(views, vectors, strict=True):
        rows.setdefault(view.position, []).append((vector, view.weight))
    return [(position, _mean(group)) for position, group in rows.items()]


def _mean(group: Sequence[tuple[Vectors, float]]) -> Vectors:
    vectors, weights = zip(*group, strict=True)
    return np.average(np.stack(vectors), axis=0, weights=weights).astype(np.float32)
