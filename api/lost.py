"""Runs whose workflow is over without having said so: terminated in Temporal, failed by a defect, or forgotten. Their rows
would stand as running for ever; here somebody notices, and tells what is known."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import structlog
from temporalio.api.enums.v1 import EventType as HistoryEventType
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHistoryEventFilterType,
)
from temporalio.service import RPCError, RPCStatusCode

from api.engine import WORKFLOW
from api.services import Services
from holdfast.errors import NotFound, Unavailable
from schemas.events import EventType, NewEvent
from schemas.runs import Run, RunStatus
from schemas.stages import RunPatch
from workflows.options import TENANT

log = structlog.get_logger(__name__)

_UNTOLD = "ExecutionStatus IN ('Terminated', 'Failed', 'TimedOut', 'Canceled')"
_OVERLAP = timedelta(minutes=10)
_PAGE = 200
_RPC = timedelta(seconds=5)

_ENDS = {
    WorkflowExecutionStatus.TIMED_OUT: RunStatus.TIMED_OUT,
    WorkflowExecutionStatus.CANCELED: RunStatus.CANCELLED,
}


class LostRuns:
    """At first every open run is asked about; from then on Temporal says which workflows have ended untold."""

    def __init__(self, held: Services) -> None:
        self._held = held
        self._since: datetime | None = None

    async def sweep(self) -> None:
        began, client = datetime.now(UTC), await self._held.engine.client()
        try:
            async for tenant, run_id in self._suspects(client):
                await self._look_at(client, tenant, run_id)
        except RPCError as error:
            raise Unavailable(f"Temporal cannot be reached: {error.status.name}.") from error
        self._since = began

    async def _suspects(self, client: Client) -> AsyncIterator[tuple[str, str]]:
        if self._since is None:
            async for found in self._open():
                yield found
            return
        since = (self._since - _OVERLAP).isoformat()
        query = f"WorkflowType = '{WORKFLOW}' AND {_UNTOLD} AND CloseTime > '{since}'"
        async for execution in client.list_workflows(query, rpc_timeout=_RPC):
            tenant = execution.typed_search_attributes.get(TENANT)
            if tenant is not None:
                yield tenant, execution.id

    async def _open(self) -> AsyncIterator[tuple[str, str]]:
        after = ""
        while page := await self._held.runs.open_runs(after=after, page=_PAGE):
            for found in page:
                yield found
            after = page[-1][1]

    async def _look_at(self, client: Client, tenant: str, run_id: str) -> None:
        """The row first: what its workflow tells after that is later than what is found here, and stands."""
        try:
            run = await self._held.runs.read(tenant, run_id)
        except NotFound:
            return
        if run.status.ended:
            return
        patch = await _how_it_ended(client, run)
        if patch is not None:
            await self._stop_agents(client, run)
        if patch is not None and await self._held.runs.end_lost(run, patch, _told(run, patch)):
            log.warning("lost_run_ended", run_id=run_id, tenant=tenant, reason=patch.reason)

    async def _stop_agents(self, client: Client, run: Run) -> None:
        """Whoever worked for it works for nobody. First of all, so that they are stopped though this process dies here."""
        for child in await self._held.runs.children_under_way(run.tenant, run.id):
            try:
                await client.get_workflow_handle(child).cancel(rpc_timeout=_RPC)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise


async def _how_it_ended(client: Client, run: Run) -> RunPatch | None:
    """None where it goes on, or has said everything itself."""
    try:
        found = await client.get_workflow_handle(run.id).describe(rpc_timeout=_RPC)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return RunPatch(status=RunStatus.FAILED, reason="Temporal no longer knows its workflow")
        raise
    if found.status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED, None):
        return None
    status = _ENDS.get(found.status, RunStatus.FAILED)
    return RunPatch(status=status, reason=await _why(client, found))


async def _why(client: Client, found: WorkflowExecutionDescription) -> str:
    handle = client.get_workflow_handle(found.id, run_id=found.run_id)
    events = handle.fetch_history_events(
        event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT, rpc_timeout=_RPC
    )
    async for event in events:
        if event.event_type == HistoryEventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
            said = event.workflow_execution_terminated_event_attributes
            return ": ".join(filter(None, ["terminated in Temporal", said.reason]))
        if event.event_type == HistoryEventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            failure = event.workflow_execution_failed_event_attributes.failure
            return f"its workflow failed: {failure.message}"[:500]
    return f"its workflow is {found.status.name.lower() if found.status else 'gone'} in Temporal"


def _told(run: Run, patch: RunPatch) -> NewEvent:
    data = {"status": patch.status, "reason": patch.reason, "lost": True}
    return NewEvent(key=f"lost:{run.last_seq}", type=EventType.RUN_ENDED, data=data)
