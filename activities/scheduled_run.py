"""Accepting a run whose time has come."""

from typing import Protocol

from temporalio import activity

from holdfast.ports import Runs
from schemas.access import Principal
from schemas.runs import RunInput, RunRequest
from schemas.schedules import ScheduledRequest


class Accepting(Protocol):
    """Looks up everything a run needs, as it stands now."""

    async def accept(
        self, request: RunRequest, principal: Principal, *, operation: str | None = None
    ) -> RunInput: ...


class ScheduledRunActivities:
    def __init__(self, *, acceptance: Accepting, runs: Runs) -> None:
        self._acceptance = acceptance
        self._runs = runs

    @activity.defn
    async def accept_scheduled(self, scheduled: ScheduledRequest, execution: str) -> RunInput:
        """Safe to repeat: the run's id follows from the workflow's and its first execution's, since Temporal gives two that it
        starts within one second the same; and what was written down first is what counts.
        """
        operation = f"{activity.info().workflow_id} {execution}"
        asked = await self._acceptance.accept(scheduled.draft.run, scheduled.principal, operation=operation)
        run = await self._runs.create(asked)
        return await self._runs.start_input(run.tenant, run.id)
