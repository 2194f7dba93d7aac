"""What needs a planner: a plan, the next move, the answer. On the `llm` queue, where the model keys are."""

from temporalio import activity

from activities.heartbeat import heartbeats
from holdfast.ports import Planner
from schemas.stages import Answer, AnswerRequest, NextMove, NextRequest, PlanProposal, PlanRequest


class ThinkActivities:
    """Safe to repeat: a second answer may differ, but only the one that enters history is acted on."""

    def __init__(self, *, planner: Planner) -> None:
        self._planner = planner

    @activity.defn
    async def plan(self, request: PlanRequest) -> PlanProposal:
        async with heartbeats():
            return await self._planner.plan(request)

    @activity.defn
    async def next_move(self, request: NextRequest) -> NextMove:
        async with heartbeats():
            return await self._planner.next(request)

    @activity.defn
    async def answer(self, request: AnswerRequest) -> Answer:
        async with heartbeats():
            return await self._planner.answer(request)
