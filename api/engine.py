"""Temporal, as the API sees it: start a run, and speak to one under way. Connects when first needed, so that reading
goes on while Temporal is away."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from holdfast.errors import Conflict, HoldfastError, Unavailable
from schemas.knowledge import IngestJob
from schemas.runs import RunInput
from schemas.webhooks import DeliveryRef
from workflows.options import search_attributes

WORKFLOW = "AgentRun"
DELIVERY = "WebhookDelivery"
INGESTION = "Ingestion"
QUEUE = "orchestration"
KNOWLEDGE = "knowledge"
_REMEMBERED = 10_000
_RPC = timedelta(seconds=5)
_UPDATE = timedelta(seconds=10)


@dataclass(frozen=True)
class QueueState:
    """One task queue: who works on it, and what waits. Temporal counts the backlog roughly, a few seconds late."""

    pollers: int
    backlog: int
    oldest_s: float


class Engine:
    def __init__(self, *, connect: Callable[[], Awaitable[Client]]) -> None:
        self._connect = connect
        self._client: Client | None = None
        self._lock = asyncio.Lock()
        self._started: OrderedDict[str, None] = OrderedDict()

    def has_started(self, run_id: str) -> bool:
        """Whether this process started that run, of late: nobody has to ask Temporal again."""
        return run_id in self._started

    def _note(self, run_id: str) -> None:
        self._started[run_id] = None
        if len(self._started) > _REMEMBERED:
            self._started.popitem(last=False)

    async def client(self) -> Client:
        """The connection, made now if there is none. A server that takes the call and says nothing counts as away."""
        try:
            async with asyncio.timeout(_RPC.total_seconds()), self._lock:
                if self._client is None:
                    self._client = await self._connect()
                return self._client
        except TimeoutError as error:
            raise Unavailable("Temporal does not answer.", remedy="The call is safe to repeat.") from error

    async def start(self, run_input: RunInput, *, again: bool = False) -> bool:
        """Start the run's workflow; whether that was still to be done comes back. One under way stays as it is, and
        one that has ended is only started `again`."""
        client = await self.client()
        try:
            await client.start_workflow(
                WORKFLOW,
                run_input,
                id=run_input.run_id,
                task_queue=QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE
                if again
                else WorkflowIDReusePolicy.REJECT_DUPLICATE,
                priority=Priority(priority_key=run_input.priority, fairness_key=run_input.tenant),
                static_summary=run_input.goal[:200],
                search_attributes=search_attributes(run_input),
                rpc_timeout=_RPC,
            )
        except WorkflowAlreadyStartedError:
            return False
        except RPCError as error:
            raise _away(error) from error
        self._note(run_input.run_id)
        return True

    async def has_ended(self, run_id: str) -> bool:
        """Whether the run's last execution is over."""
        try:
            found = await (await self._handle(run_id)).describe(rpc_timeout=_RPC)
        except RPCError as error:
            raise _of_run(error, run_id) from error
        return found.status is not WorkflowExecutionStatus.RUNNING

    async def deliver(self, ref: DeliveryRef) -> None:
        """Start the delivery of a webhook's message; one under way stays as it is, and a dead one is tried anew."""
        client = await self.client()
        try:
            await client.start_workflow(
                DELIVERY,
                ref,
                id=ref.id,
                task_queue=QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                rpc_timeout=_RPC,
            )
        except RPCError as error:
            raise _away(error) from error

    async def ingest(self, job: IngestJob) -> None:
        """Start the reading of documents that were put down; one under way, or done, stays as it is."""
        client = await self.client()
        try:
            await client.start_workflow(
                INGESTION,
                job,
                id=f"{job.tenant}.{job.job}",
                task_queue=KNOWLEDGE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                rpc_timeout=_RPC,
            )
        except WorkflowAlreadyStartedError:
            return
        except RPCError as error:
            raise _away(error) from error

    async def update(self, run_id: str, name: str, *arguments: Any) -> Any:
        """Ask the run to do something and wait for its answer; what it refuses comes back as a conflict."""
        handle = await self._handle(run_id)
        try:
            return await asyncio.wait_for(
                handle.execute_update(name, args=list(arguments), rpc_timeout=_UPDATE),
                _UPDATE.total_seconds(),
            )
        except WorkflowUpdateFailedError as error:
            raise _refusal(error, run_id) from error
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            raise _slow(run_id) from error
        except RPCError as error:
            raise _of_run(error, run_id) from error

    async def signal(self, run_id: str, name: str, *arguments: Any) -> None:
        handle = await self._handle(run_id)
        try:
            await handle.signal(name, args=list(arguments), rpc_timeout=_RPC)
        except RPCError as error:
            raise _of_run(error, run_id) from error

    async def queue(self, name: str, kind: TaskQueueType.ValueType) -> QueueState:
        """How many workers ask this queue for work, and how much waits for them."""
        client = await self.client()
        request = DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=name),
            task_queue_type=kind,
            report_stats=True,
        )
        try:
            answer = await client.workflow_service.describe_task_queue(request, timeout=_RPC)
        except RPCError as error:
            raise _away(error) from error
        return QueueState(
            pollers=len(answer.pollers),
            backlog=answer.stats.approximate_backlog_count,
            oldest_s=answer.stats.approximate_backlog_age.ToTimedelta().total_seconds(),
        )

    async def _handle(self, run_id: str) -> WorkflowHandle[Any, Any]:
        return (await self.client()).get_workflow_handle(run_id)


def _away(error: RPCError) -> Unavailable:
    return Unavailable(
        f"Temporal cannot be reached: {error.status.name}.", remedy="The call is safe to repeat."
    )


def _of_run(error: RPCError, run_id: str) -> HoldfastError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return Conflict(
            f"Run {run_id} is not under way.", remedy="An ended run can be resumed or forked.", run_id=run_id
        )
    if error.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
        return _slow(run_id)
    return _away(error)


def _slow(run_id: str) -> Unavailable:
    return Unavailable(
        f"Run {run_id} did not answer in time.", remedy="Is an orchestration worker up?", run_id=run_id
    )


def _refusal(error: WorkflowUpdateFailedError, run_id: str) -> HoldfastError:
    cause = error.cause
    message = cause.message if isinstance(cause, ApplicationError) else "The run refused."
    return Conflict(message, run_id=run_id)
