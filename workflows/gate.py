"""The gate every step and every action passes: shut while the run is paused."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from holdfast.plan.progress import Progress


class Gate:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._thaws = 0

    async def passed(self, *, unless: Callable[[], bool] = lambda: False) -> None:
        """Not before the run goes on; `unless` it has to leave first."""
        stop_if_cancelled()
        if self._progress.paused:
            await workflow.wait_condition(lambda: not self._progress.paused or unless())

    def thaw(self) -> None:
        """A freeze was lifted; whoever is held should look again."""
        self._thaws += 1

    async def thaw_or(self, patience: timedelta) -> None:
        """Until somebody says `thaw`, and at the latest after this long."""
        before = self._thaws
        await in_time(lambda: self._thaws > before, patience, "held: looks again")


async def in_time(condition: Callable[[], bool], patience: timedelta | None, summary: str) -> bool:
    """Whether it comes true before the patience ends."""
    try:
        with cancellation_kept():
            await workflow.wait_condition(condition, timeout=patience, timeout_summary=summary)
    except TimeoutError:
        return False
    return True


@contextmanager
def cancellation_kept() -> Iterator[None]:
    """For waits that forget that their caller was cancelled, where what they wait for comes at the same moment: a bounded
    one, before Python 3.12, and a signal on its way. What ends then would end for nobody, and again after continue-as-new."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


async def side_by_side(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """All of them; where one breaks or this is cancelled, each of the others has ended before anybody hears of it."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    except GeneratorExit:
        raise  # the worker forgets this run, to replay it later: there is nobody left to wait
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def until_cancelled(task: asyncio.Task[Any]) -> None:
    """Waits for a task that was told to stop. One that waited for an activity ends with that activity's failure."""
    try:
        await task
    except (asyncio.CancelledError, FailureError) as error:
        if not is_cancelled_exception(error):
            raise


def stop_if_cancelled() -> None:
    """An activity that ends by itself hides that its caller was cancelled meanwhile; what is cancelled starts nothing."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
