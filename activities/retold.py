"""What a run has thought of already, from its story: by an attempt that died, or before it was set back in Temporal.

Whoever thought anew might do again, in other words, what was done. Which text from outside had a part in it is told,
too: the same step would be another action without it, and what is remembered by now may come from this very run.
"""

from holdfast.plan.story import StoryReader
from holdfast.ports import Story
from schemas.plans import PlanSource
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
        told = await self._read(request.scope)
        if told.plan is None or told.plan.source is PlanSource.REACT:
            return None
        return PlanProposal(plan=told.plan, by=_BY, swayed=told.swayed)

    async def move(self, request: NextRequest) -> NextMove | None:
        told = await self._read(request.scope)
        steps = told.plan.steps if told.plan else ()
        step = next((step for step in steps if step.id == request.name), None)
        return NextMove(step=step, by=_BY, swayed=step.id in told.swayed) if step else None

    async def _read(self, scope: RunScope) -> StoryReader:
        reader, after = StoryReader(), 0
        while events := await self._story.events(scope.tenant, scope.run_id, after=after, limit=_PAGE):
            reader.read(events)
            after = events[-1].seq
        return reader
