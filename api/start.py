"""Accepted means durable: the row and its first event, then the workflow, then the answer. What falls in between is
found and started by `make_good`."""

import asyncio
from contextlib import aclosing

import structlog

from api.deciding import pass_on_unheard, tell_idle
from api.lost import LostRuns
from api.services import Services
from holdfast.errors import HoldfastError, Unavailable
from schemas.access import Principal
from schemas.runs import Run, RunInput, RunRequest, RunStatus

log = structlog.get_logger(__name__)

_FORGOTTEN_S = 10.0
_MESSAGES_S = 1.0


async def start_run(held: Services, request: RunRequest, caller: Principal, *, operation: str | None) -> Run:
    return await launch(held, await held.acceptance.accept(request, caller, operation=operation))


async def launch(held: Services, run_input: RunInput, *, forked_from: str | None = None) -> Run:
    """Write the run down and start it; where it cannot be started, take it back, so that 503 means nothing happened."""
    run = await held.runs.create(run_input, forked_from=forked_from)
    try:
        await _ensure_started(held, run_input)
    except Unavailable:
        await held.runs.discard(run.tenant, run.id)
        raise
    return run


async def _ensure_started(held: Services, run_input: RunInput) -> bool:
    """Whether it was started now. A start that was given up as lost, and its row taken back, may have arrived after
    all: what it started found no row and ended, and must not stand in the way of the run that was asked for again."""
    if await held.engine.start(run_input):
        return True
    if not await held.engine.has_ended(run_input.run_id):
        return False
    run = await held.runs.read(run_input.tenant, run_input.run_id)
    return run.status is RunStatus.QUEUED and await held.engine.start(run_input, again=True)


async def wait_for_end(held: Services, run: Run, *, seconds: float) -> Run:
    """The run when it has ended, or as it is when the time is up."""
    try:
        async with asyncio.timeout(seconds):
            async with aclosing(held.streams.run(run.tenant, run.id, after=0)) as events:
                async for _ in events:
                    pass
    except TimeoutError:
        pass
    return await held.runs.read(run.tenant, run.id)


async def make_good(held: Services) -> None:
    """Now and then, do what a dying process left undone: start what it accepted, tell what it was told; and end what Temporal
    ended without a word. Doing it twice does it once."""
    seen: set[str] = set()
    lost = LostRuns(held)
    while True:
        try:
            await pass_on_unheard(held)
            await tell_idle(held)
            seen = await _start_forgotten(held, seen)
            await lost.sweep()
        except HoldfastError as error:
            log.warning("making_good_waits", why=error.code, said=str(error))
        await asyncio.sleep(held.settings.api.look_after_s)


async def _start_forgotten(held: Services, seen: set[str]) -> set[str]:
    """Start what nobody started. What was found started once, and only waits for a worker, is not asked about again."""
    queued = await held.runs.unstarted(older_than_s=_FORGOTTEN_S)
    for tenant, run_id in queued:
        if run_id in seen or held.engine.has_started(run_id):
            continue
        if await _ensure_started(held, await held.runs.start_input(tenant, run_id)):
            log.warning("forgotten_run_started", run_id=run_id, tenant=tenant)
    return {run_id for _, run_id in queued}


async def send_webhooks(held: Services) -> None:
    """Give each queued message a workflow of its own, which carries it through outages of ours and of its receiver.
    Before the first, secrets that an older key sealed are sealed anew."""
    sealed = False
    while True:
        try:
            if not sealed:
                while await held.webhooks.seal_all():
                    log.info("webhook_secrets_sealed")
                sealed = True
            for ref in await held.webhooks.unstarted():
                await held.engine.deliver(ref)
                await held.webhooks.started(ref)
        except HoldfastError as error:
            log.warning("webhooks_wait", why=error.code)
        await asyncio.sleep(_MESSAGES_S)
