"""A run taken up again: the same run after its end, or a new one with its past."""

import asyncio
from contextlib import suppress

from api.services import Services
from holdfast.errors import Conflict
from holdfast.plan.story import StoryReader
from holdfast.resuming import mended, reopened
from holdfast.runs import run_id_for
from schemas.access import Principal
from schemas.base import JsonObject
from schemas.commands import ResumeCommand
from schemas.runs import Run, RunInput, RunState, RunStatus

_PAGE = 500
_LAST_MOMENT_S, _LOOK_S = 5, 0.05


async def story_of(held: Services, run: Run) -> StoryReader:
    """The whole story of a run, read back."""
    start = await held.runs.start_input(run.tenant, run.id)
    reader, after = StoryReader(start.state), 0
    while page := await held.runs.events(run.tenant, run.id, after=after, limit=_PAGE):
        reader.read(page)
        after = page[-1].seq
    return reader


async def started_again(
    held: Services, run: Run, command: ResumeCommand, *, agent_version: int | None
) -> RunInput:
    """The next execution of an ended run is under way with this input. A run tells its end a moment before its execution
    is over, so one that is still there is waited for; somebody else may have taken the run up in the meantime."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_MOMENT_S):
            while run.status.ended:
                run_input = await resumed(held, run, command, agent_version=agent_version)
                if await held.engine.start(run_input, again=True):
                    return run_input
                await asyncio.sleep(_LOOK_S)
                run = await held.runs.read(run.tenant, run.id)
    raise Conflict(f"Run {run.id} is under way again already.", run_id=run.id)


async def resumed(held: Services, run: Run, command: ResumeCommand, *, agent_version: int | None) -> RunInput:
    """The input of the next execution of an ended run."""
    if run.status is RunStatus.SUCCEEDED:
        raise Conflict(
            f"Run {run.id} has succeeded.", remedy="Fork it to do parts of it again.", run_id=run.id
        )
    start = await held.runs.start_input(run.tenant, run.id)
    state = mended(await _state_of(held, run, start), command)
    changes: JsonObject = {
        "state": state.model_copy(update={"spend_usd": run.spend_usd}),
        "inputs": {**start.inputs, **command.inputs},
        "limits": command.limits or start.limits,
    }
    if agent_version is not None:
        start = await held.acceptance.under(start, agent_version)
    return start.model_copy(update=changes)


async def _state_of(held: Services, run: Run, start: RunInput) -> RunState:
    """As the story has it; a plan that was given and never accepted is in the run's input alone."""
    state = (await story_of(held, run)).state()
    return state if state.plan else state.model_copy(update={"plan": start.state.plan})


async def remember(held: Services, run: Run, command: ResumeCommand, under: RunInput | None) -> None:
    """Keep what a resumption changed, so that a fork, or the next resumption, begins with it too. `under` is the input
    with another version of the agent."""
    changes: JsonObject = {}
    if command.inputs:
        start = await held.runs.start_input(run.tenant, run.id)
        changes["inputs"] = {**start.inputs, **command.inputs}
    if command.limits is not None:
        changes["limits"] = command.limits.model_dump(mode="json")
    if under is not None:
        changes |= under.model_dump(mode="json", include={"agent", "delegates", "catalogue"})
    if changes:
        await held.runs.change_input(run.tenant, run.id, changes)


async def fork_of(
    held: Services,
    run: Run,
    caller: Principal,
    from_step: str | None,
    inputs: JsonObject,
    *,
    operation: str | None,
) -> RunInput:
    """The input of a new run that starts with this one's outcomes, up to a step."""
    if not run.status.ended:
        raise Conflict(f"Run {run.id} is under way.", remedy="Cancel it, or wait for its end.", run_id=run.id)
    start = await held.runs.start_input(run.tenant, run.id)
    state = await _state_of(held, run, start)
    if from_step is not None:
        state = reopened(state, from_step)
    return start.model_copy(
        update={
            "run_id": run_id_for(operation),
            "requested_by": caller.id,
            "inputs": {**start.inputs, **inputs},
            "state": state.model_copy(update={"generation": 0}),
            "models": await held.model_routes.current(),
            "parent": None,
            "depth": 0,
        }
    )
