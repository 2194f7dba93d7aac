"""Which steps are in a wait that continue-as-new may cut short, because the step takes it up again on the other side."""

from collections.abc import Iterator
from contextlib import contextmanager


class Parking:
    def __init__(self) -> None:
        self._steps: set[str] = set()

    @contextmanager
    def durable(self, step_id: str) -> Iterator[None]:
        """Only the wait itself: a step that has been answered is under way again, and must not be cut short."""
        self._steps.add(step_id)
        try:
            yield
        finally:
            self._steps.discard(step_id)

    def __contains__(self, step_id: object) -> bool:
        return step_id in self._steps
