"""How fast providers are called, kept by Temporal: before a call, a task is taken from the provider's task queue, and
the server hands out no more of those a second than the limit says, to all workers together.

The task carries nothing: prompts and answers stay out of Temporal.
"""

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Self

from temporalio import activity
from temporalio.client import ActivityFailureError, Client
from temporalio.common import RetryPolicy
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from holdfast.errors import HoldfastError, Misconfigured, Unavailable
from holdfast.ids import new_id
from holdfast.llm.configuring import provider_of
from holdfast.llm.failures import ModelTurnMissed
from schemas.models import Deployment, ModelSettings

_AT_ONCE = 50


@activity.defn(name="model_call_permit")
async def _permit() -> None:
    """That it was handed out is all it is for."""


class TaskQueuePacer:
    """Fulfils `holdfast.llm.ports.Pacer`. Each limited provider or deployment has a queue of its own."""

    def __init__(self, *, client: Client, limits: Mapping[str, float], patience_s: float = 30.0) -> None:
        self._client = client
        self._limits = limits
        self._patience = timedelta(seconds=patience_s)
        self._workers = AsyncExitStack()

    @classmethod
    async def open(cls, client: Client, settings: ModelSettings, *, patience_s: float = 30.0) -> Self:
        pacer = cls(client=client, limits=limits_in(settings), patience_s=patience_s)
        for queue, limit in pacer._limits.items():
            worker = Worker(
                client,
                task_queue=queue,
                activities=[_permit],
                max_concurrent_activities=_AT_ONCE,
                max_task_queue_activities_per_second=limit,
            )
            await pacer._workers.enter_async_context(worker)
        return pacer

    async def close(self) -> None:
        await self._workers.aclose()

    async def wait(self, deployment: Deployment) -> None:
        for queue in _queues_of(deployment):
            if queue in self._limits:
                await self._take(queue, deployment)

    async def _take(self, queue: str, deployment: Deployment) -> None:
        """A permit that nobody waits for any more is handed out all the same, or lapses: that errs on the slow side."""
        try:
            await self._client.execute_activity(
                _permit,
                id=new_id("permit"),
                task_queue=queue,
                schedule_to_close_timeout=self._patience,
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except ActivityFailureError:
            raise ModelTurnMissed(
                f"`{deployment.name}` may be called {self._limits[queue]:g} times a second, and more are waiting.",
                remedy=f"Raise `calls_per_s` ({queue}), or put another deployment into the route.",
                retry_after_s=1.0,
                deployment=deployment.name,
            ) from None
        except RPCError as error:
            raise _no_permit(deployment, error) from error


def _no_permit(deployment: Deployment, error: RPCError) -> HoldfastError:
    told = f"Temporal gives no permit to call `{deployment.name}`: {error.message}"
    if error.status in (RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.FAILED_PRECONDITION):
        return Misconfigured(
            told,
            remedy="Limits on calls need a server with standalone activities; remove `calls_per_s`, or upgrade it.",
        )
    return Unavailable(told)


def limits_in(settings: ModelSettings) -> dict[str, float]:
    """Calls a second, by task queue. Only what is limited has a queue."""
    providers = {_of_provider(each) for each in settings.deployments}
    named = {f"models.provider.{name}": limit for name, limit in settings.calls_per_s.items()}
    own = {_own(each): each.calls_per_s for each in settings.deployments if each.calls_per_s}
    return {queue: limit for queue, limit in named.items() if queue in providers} | own


def _queues_of(deployment: Deployment) -> Iterable[str]:
    return (_own(deployment), _of_provider(deployment))


def _own(deployment: Deployment) -> str:
    return f"models.deployment.{deployment.name}"


def _of_provider(deployment: Deployment) -> str:
    return f"models.provider.{deployment.provider or provider_of(deployment.model)}"
