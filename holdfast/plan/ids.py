"""Ids that follow from others, so that asking twice means the same thing."""

from schemas.canonical import digest_of


def child_run_id(parent: str, step_id: str, generation: int) -> str:
    """The id of the run a step delegates to."""
    return f"run_{digest_of([parent, step_id, generation]).removeprefix('sha256:')[:26]}"
