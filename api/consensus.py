"""A consensus as the API tells it: from its run, from what the panel said, and from what people decided."""

import asyncio
from contextlib import aclosing

from api.services import Services
from holdfast.consensus import STEP, consensus_of
from holdfast.errors import NotFound
from schemas.access import Principal
from schemas.events import EventType, RunEvent
from schemas.panels import Consensus, PanelResult
from schemas.plans import PanelStep
from schemas.runs import Run, RunStatus


async def read_consensus(held: Services, caller: Principal, consensus_id: str) -> Consensus:
    """By the id of its run, where it was asked directly, or of its panel. What belongs to another tenant or
    environment does not exist."""
    if consensus_id.startswith("run_"):
        run, step_id = await _run(held, caller, consensus_id, consensus_id), STEP
        start = await held.runs.start_input(caller.tenant, run.id)
        steps = start.state.plan.steps if start.state.plan else ()
        if not any(isinstance(step, PanelStep) and step.id == STEP for step in steps):
            raise _unknown(consensus_id)
        result = await held.panels.of_step(caller.tenant, run.id, STEP)
    else:
        result = await held.panels.find(caller.tenant, consensus_id)
        if result is None or result.run_id is None:
            raise _unknown(consensus_id)
        run = await _run(held, caller, result.run_id, consensus_id)
        step_id = result.step_id or STEP
    return await _told(held, run, step_id, result)


async def wait_for_word(held: Services, run: Run, *, seconds: float) -> Run:
    """The run when it has ended or asks people, or as it is when the time is up."""
    try:
        async with asyncio.timeout(seconds):
            async with aclosing(held.streams.run(run.tenant, run.id, after=0)) as events:
                async for event in events:
                    if isinstance(event, RunEvent) and _asks_people(event):
                        break
    except TimeoutError:
        pass
    return await held.runs.read(run.tenant, run.id)


def _asks_people(event: RunEvent) -> bool:
    return event.type is EventType.RUN_STATUS and event.data.get("status") == RunStatus.INPUT_REQUIRED


async def _told(held: Services, run: Run, step: str, result: PanelResult | None) -> Consensus:
    word = await held.panels.last_word(run.tenant, run.id, step)
    asked = await held.panels.asked_people(run.tenant, run.id, step)
    approval = await held.approvals.read(run.tenant, asked) if asked else None
    return consensus_of(run, result, word.get("output", {}), approval)


async def _run(held: Services, caller: Principal, run_id: str, asked_for: str) -> Run:
    try:
        run = await held.runs.read(caller.tenant, run_id)
    except NotFound:
        raise _unknown(asked_for) from None
    if not caller.may_touch(run.environment):
        raise _unknown(asked_for)
    return run


def _unknown(consensus_id: str) -> NotFound:
    return NotFound(
        f"There is no consensus {consensus_id}.",
        remedy="GET /v1/consensus lists what panels said.",
        id=consensus_id,
    )
