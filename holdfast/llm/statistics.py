"""Confidence in a share: a few successes prove little, and the interval says how little."""

import math

_Z = 1.96


def median_between(low: float, middle: float, high: float, calls: int) -> tuple[float, float]:
    """Of the median, at 95 %: from the middle half of what was measured (McGill's notch)."""
    spread = 1.57 * (high - low) / math.sqrt(calls) if calls else 0.0
    return max(0.0, middle - spread), middle + spread


def mean_between(mean: float, deviation: float, calls: int) -> tuple[float, float]:
    """Of the mean, at 95 %. One call has no deviation, and tells of itself only."""
    spread = _Z * deviation / math.sqrt(calls) if calls > 1 else 0.0
    return max(0.0, mean - spread), mean + spread


def interval_of(successes: int, calls: int) -> tuple[float, float]:
    """Wilson's interval at 95 %: right also for few calls and for shares near 0 and 1."""
    if calls == 0:
        return 0.0, 1.0
    share = successes / calls
    spread = _Z * math.sqrt(share * (1 - share) / calls + _Z**2 / (4 * calls**2))
    centre = share + _Z**2 / (2 * calls)
    scale = 1 + _Z**2 / calls
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
