"""How sure a search may be that its first hit answers, so that it can say that nothing does.

The numbers were set on a development set of operational queries; docs/adr/0008-retrieval.md says how.
"""

import math
from collections.abc import Iterable

SURE = 0.5
"""At this confidence and above, a result counts as an answer."""

NEAR, COVERED, MOST = 0.575, 0.15, 1.25
"""Sharing words helps only so far: what is far in meaning is never sure."""
NEAR_ALONE = 0.45
WORDS_ALONE = 1.0


def confidence(*, nearest: float | None, covered: float | None) -> float:
    """From the nearness of the nearest document and the share of the best score, as far as both were asked.

    Words alone tell an answer from a chance match far worse; only the plain cases come out sure.
    """
    if nearest is None:
        return _logistic(6.0 * ((covered or 0.0) - WORDS_ALONE))
    if covered is None:
        return _logistic(20.0 * (nearest - NEAR_ALONE))
    return _logistic(20.0 * (nearest + COVERED * min(covered, MOST) - NEAR))


def share_of_words(score: float, weights: Iterable[float]) -> float:
    """A BM25 score against the weight of all that was asked; about 1 where most of it stands in the document."""
    total = sum(weights)
    return score / total if total else 0.0


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))
