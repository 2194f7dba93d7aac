"""The gate every step and every action passes: shut while the run is paused."""

import asyncio
from datetime import timedelta

from temporalio import workflow

from holdfast.plan.progress import Progress


class Gate:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._thaws = 0

    async def passed(self) -> None:
        stop_if_cancelled()
        if self._progress.paused:
            await workflow.wait_condition(lambda: not self._progress.paused)

    def thaw(self) -> None:
        """A freeze was lifted; whoever is held should look again."""
        self._thaws += 1

    async def thaw_or(self, patience: timedelta) -> None:
        """Until somebody says `thaw`, and at the latest after this long."""
        before = self._thaws
        try:
            await workflow.wait_condition(lambda: self._thaws > before, timeout=patience)
        except TimeoutError:
            return


def stop_if_cancelled() -> None:
    """An activity that ends by itself hides that its caller was cancelled meanwhile; what is cancelled starts nothing."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
