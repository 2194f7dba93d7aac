"""A run's end does not wait for a model to look back at it: the looking back is a durable activity of its own, on the
queue where the model keys are."""

from contextlib import suppress
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import ActivityIDReusePolicy, RetryPolicy
from temporalio.exceptions import ActivityAlreadyStartedError

from holdfast.llm.lessons import may_teach
from holdfast.ports import Memory
from schemas.stages import Learned, LearnRequest, RecallRequest, Recollection

WRITE_LESSONS = "write_lessons"
_QUEUE = "llm"


class MemoryWithAfterthought:
    """Fulfils `holdfast.ports.Memory` over another: what that learns by rules, a model may add to later."""

    def __init__(self, *, memory: Memory, client: Client) -> None:
        self._memory = memory
        self._client = client

    async def recall(self, request: RecallRequest) -> Recollection:
        return await self._memory.recall(request)

    async def learn(self, request: LearnRequest) -> Learned:
        """Safe to repeat: the activity's id is the run's, and is used once."""
        learned = await self._memory.learn(request)
        if may_teach(request):
            with suppress(ActivityAlreadyStartedError):
                await self._client.start_activity(
                    WRITE_LESSONS,
                    request,
                    id=f"lessons-{request.scope.run_id}",
                    task_queue=_QUEUE,
                    id_reuse_policy=ActivityIDReusePolicy.REJECT_DUPLICATE,
                    start_to_close_timeout=timedelta(minutes=5),
                    schedule_to_close_timeout=timedelta(hours=6),
                    heartbeat_timeout=timedelta(seconds=15),
                    retry_policy=RetryPolicy(maximum_attempts=5),
                    summary=f"What is there to learn from: {request.goal}"[:200],
                )
        return learned
