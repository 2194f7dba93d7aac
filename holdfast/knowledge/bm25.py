"""BM25: what a word of the query says about a document, from how often it stands there and how rare it is."""

import math
from collections.abc import Mapping

K1 = 2.0
B = 0.8
REPEATS = 8.0
TITLE_WEIGHT = 4.0
LEAD_WEIGHT = 2.0
QUESTION_WEIGHT = 1.0
MEANING_WEIGHT = 2.0
LEAD_MEANING_WEIGHT = 1.0
KIND_WEIGHT = 0.7
"""What another word for the same weighs, against the word itself."""


def rarity(documents: int, containing: int) -> float:
    """How much a word tells: the inverse document frequency, never below zero."""
    return math.log(1 + (documents - containing + 0.5) / (containing + 0.5))


def weight(rare: float, times: float, *, kind: bool = False) -> float:
    """What a word, or the kind of one, weighs in a query. Rarity counts by its root: the rarest words of an alert are names
    of hosts and pods. A word said twice is meant more than one said once, but a pasted log does not drown the rest.
    """
    return (KIND_WEIGHT if kind else 1.0) * math.sqrt(rare) * times * (REPEATS + 1) / (times + REPEATS)


def saturation(frequency: float, length: float, average_length: float) -> float:
    """What a word's frequency is worth: more is better, ever less so, and less in a long document."""
    norm = 1 - B + B * (length / average_length if average_length else 1)
    return frequency * (K1 + 1) / (frequency + K1 * norm)


def score(
    query: Mapping[str, float], frequencies: Mapping[str, float], *, length: float, average_length: float
) -> float:
    """The score of one document. `query` holds each term's weight; the SQL in the store computes the same."""
    return sum(
        weighs * saturation(frequencies[term], length, average_length)
        for term, weighs in query.items()
        if term in frequencies
    )
