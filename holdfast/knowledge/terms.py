"""Words as the index knows them: CamelCase split, common words dropped, English stems."""

import re
from collections import Counter

from holdfast.knowledge.stemming import stem

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
MAX_TERM = 64

STOP_WORDS = frozenset(
    [
        "a",
        "about",
        "above",
        "after",
        "again",
        "against",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "before",
        "being",
        "below",
        "between",
        "both",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "doing",
        "down",
        "during",
        "each",
        "few",
        "for",
        "from",
        "further",
        "had",
        "has",
        "have",
        "having",
        "he",
        "her",
        "here",
        "hers",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "itself",
        "just",
        "me",
        "more",
        "most",
        "my",
        "myself",
        "no",
        "nor",
        "not",
        "now",
        "of",
        "off",
        "on",
        "once",
        "only",
        "or",
        "other",
        "our",
        "ours",
        "out",
        "over",
        "own",
        "same",
        "she",
        "should",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "theirs",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "to",
        "too",
        "under",
        "until",
        "up",
        "very",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whom",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
        "yours",
    ]
)


def split_words(text: str) -> list[str]:
    """The words of a text as written, CamelCase names in their parts and whole."""
    words = []
    for found in _WORD.finditer(text):
        word = found[0]
        parts = _HUMP.split(word)
        words.extend(parts)
        if len(parts) > 1:
            words.append(word)
    return words


def terms_of(text: str) -> list[str]:
    """The index terms of a text, in order, with repeats."""
    lowered = (word.lower() for word in split_words(text))
    return [stem(word)[:MAX_TERM] for word in lowered if word not in STOP_WORDS and len(word) <= 2 * MAX_TERM]


def count_terms(weighted: list[tuple[str, float]]) -> Counter[str]:
    """Term frequencies over several fields, each with its weight."""
    counts: Counter[str] = Counter()
    for text, weight in weighted:
        for term, times in Counter(terms_of(text)).items():
            counts[term] += times * weight  # type: ignore[assignment]  # a weight may be a fraction
    return counts
