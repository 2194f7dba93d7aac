"""Speaking to a run that is under way, by its route or by an MCP tool. That it has ended is said as that."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from api.services import Services
from holdfast.errors import Conflict
from schemas.commands import CommandReport
from schemas.runs import Run


async def commanded(held: Services, run: Run, name: str, command: Any) -> CommandReport:
    with _ended_is_said(run):
        return CommandReport.model_validate(await held.engine.update(run.id, name, command))


async def said(held: Services, run: Run, name: str, message: Any) -> None:
    with _ended_is_said(run):
        await held.engine.signal(run.id, name, message)


@contextmanager
def _ended_is_said(run: Run) -> Iterator[None]:
    """Temporal knows whether the run is under way: the row of one that was just taken up again still tells of its end."""
    try:
        yield
    except Conflict as error:
        if not run.status.ended:
            raise
        raise Conflict(
            f"Run {run.id} has ended: {run.status.value}.", remedy="Resume it or fork it.", run_id=run.id
        ) from error
