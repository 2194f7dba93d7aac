"""A model's opinion on an action that the rules leave unclear. On the `llm` queue, where the model keys are."""

from typing import Protocol

from temporalio import activity

from activities.heartbeat import heartbeats
from schemas.stages import OpinionRequest
from schemas.verdicts import Opinion


class Opinions(Protocol):
    async def give(self, request: OpinionRequest) -> Opinion: ...


class OpinionActivities:
    def __init__(self, *, opinions: Opinions) -> None:
        self._opinions = opinions

    @activity.defn
    async def judge_action(self, request: OpinionRequest) -> Opinion:
        """Safe to repeat: what was answered is kept by its facts. What comes back tells only the cost: the guardian
        reads the opinion from the store."""
        async with heartbeats():
            return await self._opinions.give(request)
