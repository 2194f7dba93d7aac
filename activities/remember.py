"""What is known before a run, and what it taught: asked for in the turn of the run, as whatever needs Postgres alone."""

from temporalio import activity

from holdfast.ports import Memory
from schemas.stages import Learned, LearnRequest, RecallRequest, Recollection


class RememberActivities:
    def __init__(self, *, memory: Memory) -> None:
        self._memory = memory

    @activity.defn
    async def recall(self, request: RecallRequest) -> Recollection:
        """Safe to repeat: it reads."""
        return await self._memory.recall(request)

    @activity.defn
    async def learn(self, request: LearnRequest) -> Learned:
        """Safe to repeat: what a run taught is keyed by the run."""
        return await self._memory.learn(request)
