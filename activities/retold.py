"""What a run has thought of already, from its story: by an attempt that died, or before it was set back in Temporal.

Whoever thought anew might do again, in other words, what was done.
"""

from holdfast.plan.story import StoryReader
from holdfast.ports import Story
from schemas.plans import Plan, PlanSource
from schemas.stages import NextMove, NextRequest, PlanProposal, PlanRequest, RunScope

_BY = "the story"
_PAGE = 1000


class Retold:
    def __init__(self, *, story: Story) -> None:
        self._story = story

    async def plan(self, request: PlanRequest) -> PlanProposal | None:
        """The plan as it was accepted last. It stands for the first draft alone: what failed since is still to be mended."""
        if request.previous is not None or request.findings:
            return None
        plan = await self._read(request.scope)
        return PlanProposal(plan=plan, by=_BY) if plan and plan.source is not PlanSource.REACT else None

    async def move(self, request: NextRequest) -> NextMove | None:
        plan = await self._read(request.scope)
        step = next((step for step in plan.steps if step.id == request.name), None) if plan else None
        return NextMove(step=step, by=_BY) if step else None

    async def _read(self, scope: RunScope) -> Plan | None:
        reader, after = StoryReader(), 0
        while events := await self._story.events(scope.tenant, scope.run_id, after=after, limit=_PAGE):
            reader.read(events)
            after = events[-1].seq
        return reader.plan
