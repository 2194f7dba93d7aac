"""What is known before a run, and what it taught."""

from temporalio import activity

from activities.heartbeat import heartbeats
from holdfast.ports import Memory
from schemas.stages import Learned, LearnRequest, RecallRequest, Recollection


class RememberActivities:
    def __init__(self, *, memory: Memory) -> None:
        self._memory = memory

    @activity.defn
    async def recall(self, request: RecallRequest) -> Recollection:
        """Safe to repeat: it reads."""
        async with heartbeats():
            return await self._memory.recall(request)

    @activity.defn
    async def learn(self, request: LearnRequest) -> Learned:
        """Safe to repeat: what a run taught is keyed by the run."""
        async with heartbeats():
            return await self._memory.learn(request)
