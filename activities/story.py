"""Telling the story of a run, opening the row of a child run, reading back what was kept aside."""

import json

from temporalio import activity

from holdfast.errors import NotFound
from holdfast.plan.story import StoryReader, handed_on
from holdfast.ports import Artifacts, Runs, Story
from schemas.base import JsonObject, RunId
from schemas.runs import Run, RunInput, RunOutput, RunState, RunStatus
from schemas.stages import (
    LoadRequest,
    LookUpRequest,
    Past,
    PastRequest,
    RecordRequest,
    RunLookUp,
    StepsLookedUp,
)

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
    async def look_at_run(self, request: RunLookUp) -> RunOutput:
        """How a child run stands, for a parent that Temporal does not tell. Safe to repeat: it reads."""
        try:
            run = await self._runs.read(request.scope.tenant, request.run_id)
        except NotFound:  # it has not opened its row yet
            return RunOutput(run_id=request.run_id, status=RunStatus.QUEUED)
        used = await self._used(run) if run.status.ended else RunState()
        return RunOutput(
            run_id=run.id,
            status=run.status,
            answer=run.answer,
            reason=run.reason,
            outputs=run.outputs,
            cites=run.cites,
            steps_done=used.steps_done,
            tool_s=used.tool_s,
            spend_usd=run.spend_usd,
        )

    async def _used(self, run: Run) -> RunState:
        begun = (await self._runs.start_input(run.tenant, run.id)).state
        return (await self._read(run.tenant, run.id, StoryReader(begun))).state()

    @activity.defn
    async def past(self, request: PastRequest) -> Past:
        """The moves of whoever worked on this goal before. Safe to repeat: it reads."""
        tenant = request.scope.tenant
        for run_id in request.runs:
            try:
                run = await self._runs.read(tenant, run_id)
            except NotFound:
                continue
            if (run.goal, run.agent) != (request.goal, request.agent):
                continue
            if not run.status.ended:
                return Past(under_way=run_id)
            begun = (await self._runs.start_input(tenant, run_id)).state
            return Past(state=handed_on((await self._read(tenant, run_id, StoryReader(begun))).state()))
        return Past()

    @activity.defn
    async def look_up(self, request: LookUpRequest) -> StepsLookedUp:
        """How steps ended in this very run, also those whose workflow was cancelled before it heard of it. Safe to repeat:
        it reads."""
        reader = await self._read(request.scope.tenant, request.scope.run_id, StoryReader())
        return StepsLookedUp(
            outcomes={name: reader.outcomes[name] for name in request.steps if name in reader.outcomes},
            items={name: reader.items[name] for name in request.steps if name in reader.items},
        )

    async def _read(self, tenant: str, run_id: RunId, reader: StoryReader) -> StoryReader:
        after = 0
        while events := await self._story.events(tenant, run_id, after=after, limit=_PAGE):
            reader.read(events)
            after = events[-1].seq
        return reader

    @activity.defn
    async def load_output(self, request: LoadRequest) -> JsonObject:
        """A whole output, for a step that goes through all of it. Safe to repeat: it reads."""
        data = await self._artifacts.get(request.scope.tenant, request.digest)
        output: JsonObject = json.loads(data)
        return output
