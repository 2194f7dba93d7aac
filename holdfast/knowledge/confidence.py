"""How sure a search may be that its first hit answers, so that it can say that nothing does.

The numbers were set on a development set of operational queries; docs/adr/0008-retrieval.md says how.
"""

import math
from collections.abc import Mapping, Sequence

SURE = 0.5
"""At this confidence and above, a result counts as an answer."""


def coverage(query: Mapping[str, float], found: Sequence[str]) -> float:
    """How much of what the query says, rare words first, stands in the hit: 0 to 1."""
    total = sum(query.values())
    return sum(query.get(term, 0.0) for term in set(found)) / total if total else 0.0


def confidence(*, nearest: float | None, covered: float) -> float:
    """From the cosine of the nearest document (None where only words were asked) and the best coverage."""
    if nearest is None:
        return _logistic(9.0 * (covered - 0.45))
    return _logistic(18.0 * (nearest - 0.41) + 2.0 * (covered - 0.4))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))
