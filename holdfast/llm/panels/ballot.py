"""What the voices said, ready to be counted, and what counting gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ballot:
    """One live voice's answer. `weight` is how much it counts for."""

    voice: str
    text: str
    choice: str | None = None
    confidence: float = 0.5
    weight: float = 1.0


@dataclass(frozen=True)
class Tally:
    """`winner` is the voice whose answer stands; `agreeing` are the voices that stand with it."""

    winner: str | None
    agreeing: frozenset[str]
    score: float
    breakdown: Mapping[str, float]
    reason: str = ""


def no_result(reason: str, breakdown: Mapping[str, float] | None = None) -> Tally:
    return Tally(winner=None, agreeing=frozenset(), score=0.0, breakdown=breakdown or {}, reason=reason)


def total(ballots: Sequence[Ballot]) -> float:
    return sum(ballot.weight for ballot in ballots)
