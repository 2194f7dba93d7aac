"""Telling a loop from progress: the same move again and again, however the model words its reasons."""

from collections.abc import Sequence

from schemas.base import JsonObject
from schemas.plans import Step

_MOST_REPEATS = 3
_LOOKED_BACK = 12


def repeats(step: Step, made: Sequence[Step]) -> bool:
    """Whether the move was made so often of late that making it again leads nowhere."""
    return [_essence(move) for move in made[-_LOOKED_BACK:]].count(_essence(step)) >= _MOST_REPEATS


def _essence(step: Step) -> JsonObject:
    return step.model_dump(mode="json", exclude={"id", "title", "why", "cites"})
