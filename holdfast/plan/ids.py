"""Ids that follow from others, so that asking twice means the same thing."""

from schemas.base import RunId
from schemas.canonical import digest_of

_MOST_BEFORE = 16


def child_run_id(parent: RunId, step_id: str, generation: int, attempt: int) -> RunId:
    """The id of the run a step delegates to."""
    return f"run_{digest_of([parent, step_id, generation, attempt]).removeprefix('sha256:')[:26]}"


def child_run_ids_before(parent: RunId, step_id: str, generation: int, attempt: int) -> tuple[RunId, ...]:
    """Of the runs that the step may have delegated to before this one, the last first: in each taking up of the parent its
    attempts go on from those that ended."""
    places = [(taken, made) for taken in range(generation, -1, -1) for made in range(attempt, 0, -1)]
    return tuple(child_run_id(parent, step_id, *place) for place in places[1 : _MOST_BEFORE + 1])
