"""The WordPiece tokenizer of uncased BERT models: clean, lower, strip accents, split, then longest pieces first.

https://arxiv.org/abs/1810.04805; the pieces and special tokens come from the model's own `tokenizer.json`.
"""

import json
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

LONGEST_WORD = 100
_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """Token ids of a text, `[CLS]` first and `[SEP]` last, cut to `limit`."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._vocabulary = vocabulary
        self._unknown = vocabulary["[UNK]"]
        self._first, self._last = vocabulary["[CLS]"], vocabulary["[SEP]"]
        self._pieces = lru_cache(maxsize=50_000)(self._cut)

    @classmethod
    def read(cls, path: Path) -> "WordPiece":
        return cls(json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"])

    def ids(self, text: str, *, limit: int) -> list[int]:
        found = [self._first]
        # A token needs at least one character: more text than this cannot matter.
        for word in _words(text[: limit * 40]):
            found.extend(self._pieces(word))
            if len(found) >= limit:
                break
        return [*found[: limit - 1], self._last]

    def _cut(self, word: str) -> tuple[int, ...]:
        if len(word) > LONGEST_WORD:
            return (self._unknown,)
        pieces, start = [], 0
        while start < len(word):
            end = len(word)
            while start < end and self._piece(word, start, end) is None:
                end -= 1
            piece = self._piece(word, start, end)
            if piece is None:
                return (self._unknown,)
            pieces.append(piece)
            start = end
        return tuple(pieces)

    def _piece(self, word: str, start: int, end: int) -> int | None:
        if start == end:
            return None
        return self._vocabulary.get(("##" if start else "") + word[start:end])


def _words(text: str) -> list[str]:
    lowered = unicodedata.normalize("NFD", _cleaned(text).lower())
    kept = lowered if lowered.isascii() else "".join(c for c in lowered if unicodedata.category(c) != "Mn")
    return "".join(f" {c} " if _is_punctuation(c) else c for c in kept).split()


def _cleaned(text: str) -> str:
    return "".join(_clean(c) for c in text)


@lru_cache(maxsize=10_000)
def _clean(char: str) -> str:
    if char in "\t\n\r" or unicodedata.category(char) == "Zs":
        return " "
    if char in "\x00\ufffd" or unicodedata.category(char).startswith("C"):
        return ""
    return f" {char} " if any(low <= ord(char) <= high for low, high in _CJK) else char


@lru_cache(maxsize=10_000)
def _is_punctuation(char: str) -> bool:
    code = ord(char)
    if 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126:
        return True
    return unicodedata.category(char).startswith("P")
