"""Embeddings without a model: texts that share words are near each other, and the same text is always the same."""

import hashlib
import math
import re


def embed_by_words(text: str, dimensions: int) -> tuple[float, ...]:
    vector = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()):
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        place = int.from_bytes(digest[:4], "big") % dimensions
        vector[place] += 1.0 if digest[4] & 1 else -1.0
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return tuple(value / length for value in vector)
