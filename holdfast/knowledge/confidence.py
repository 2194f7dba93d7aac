"""How sure a search may be that its first hit answers, so that it can say that nothing does.

The numbers were set on a development set of operational queries; docs/adr/0008-retrieval.md says how.
"""

import math
from collections.abc import Iterable

SURE = 0.5
"""At this confidence and above, a result counts as an answer."""


NEAR = 0.45
WORDS = 0.9


def confidence(*, nearest: float | None, covered: float) -> float:
    """From the nearness of the nearest document; where only words were asked, from the share of the best score.

    Words alone tell an answer from a chance match far worse; only the plain cases come out sure.
    """
    if nearest is None:
        return _logistic(6.0 * (covered - WORDS))
    return _logistic(20.0 * (nearest - NEAR))


def share_of_words(score: float, weights: Iterable[float]) -> float:
    """A BM25 score against the weight of all that was asked; about 1 where most of it stands in the document."""
    total = sum(weights)
    return score / total if total else 0.0


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))
