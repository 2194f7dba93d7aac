"""Telling the story of a run, opening the row of a child run, reading back what was kept aside."""

import json

from temporalio import activity

from holdfast.plan.story import StoryReader
from holdfast.ports import Artifacts, Runs, Story
from schemas.base import JsonObject
from schemas.runs import RunInput
from schemas.stages import LoadRequest, LookUpRequest, RecordRequest, StepsLookedUp

_PAGE = 1000


class StoryActivities:
    def __init__(self, *, story: Story, runs: Runs, artifacts: Artifacts) -> None:
        self._story = story
        self._runs = runs
        self._artifacts = artifacts

    @activity.defn
    async def record(self, request: RecordRequest) -> int:
        """Safe to repeat: each event has a key, and a key is told once; the patch sets values, it never adds."""
        return await self._story.record(request)

    @activity.defn
    async def open_child(self, run_input: RunInput) -> None:
        """Safe to repeat: the child's id follows from its parent's and the step's."""
        await self._runs.create(run_input)

    @activity.defn
    async def look_up(self, request: LookUpRequest) -> StepsLookedUp:
        """How steps ended, also those whose workflow was cancelled before it heard of it. Safe to repeat: it reads."""
        scope, reader, after = request.scope, StoryReader(), 0
        while events := await self._story.events(scope.tenant, scope.run_id, after=after, limit=_PAGE):
            reader.read(events)
            after = events[-1].seq
        return StepsLookedUp(
            outcomes={name: reader.outcomes[name] for name in request.steps if name in reader.outcomes},
            items={name: reader.items[name] for name in request.steps if name in reader.items},
        )

    @activity.defn
    async def load_output(self, request: LoadRequest) -> JsonObject:
        """A whole output, for a step that goes through all of it. Safe to repeat: it reads."""
        data = await self._artifacts.get(request.scope.tenant, request.digest)
        output: JsonObject = json.loads(data)
        return output
