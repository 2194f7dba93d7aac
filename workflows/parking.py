"""Which steps are in a wait that continue-as-new may cut short, because the step takes it up again on the other side."""

from collections.abc import Iterator
from contextlib import contextmanager

from workflows.gate import stop_if_cancelled


class Parking:
    def __init__(self) -> None:
        self.leaving = False
        """The run goes on in a new execution: what is cut short now is taken up again there."""
        self._waits: set[tuple[str, int | None]] = set()
        self._fans: dict[str, set[int]] = {}

    @contextmanager
    def durable(self, step_id: str, item: int | None = None) -> Iterator[None]:
        """Only the wait itself: a step that has been answered is under way again, and must not be cut short. One whose
        answer comes as it is cut short hears it on the other side."""
        self._waits.add((step_id, item))
        try:
            yield
        finally:
            self._waits.discard((step_id, item))
        stop_if_cancelled()

    @contextmanager
    def fan(self, step_id: str) -> Iterator[set[int]]:
        """The items of a step that are under way. The step waits where each of them does, and no other may start."""
        busy = self._fans.setdefault(step_id, set())
        try:
            yield busy
        finally:
            del self._fans[step_id]

    def __contains__(self, step_id: str) -> bool:
        if (step_id, None) in self._waits:
            return True
        busy = self._fans.get(step_id)
        return busy is not None and all((step_id, item) in self._waits for item in busy)
