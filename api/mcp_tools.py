"""What Holdfast offers to MCP clients: start a run, follow or end it, decide what waits, search the runbooks. Each with the
permission that its HTTP route asks for, and the same checks behind it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.commanding import commanded
from api.deciding import decide
from api.services import Services
from api.shelf import visible
from api.start import start_run
from holdfast.errors import NotFound
from schemas.access import Permission, Principal
from schemas.approvals import ApprovalStatus
from schemas.base import ApprovalId, Digest, JsonObject, Name, Request, RunId
from schemas.commands import CancelCommand
from schemas.events import RunEvent
from schemas.knowledge import SearchFilter, SearchRequest
from schemas.runs import Run, RunRequest

_LONGEST_WAIT_S = 50.0
_MOST_EVENTS = 200


@dataclass(frozen=True)
class Offer:
    """One tool that clients see."""

    name: str
    permission: Permission
    arguments: type[Request]
    does: Callable[[Services, Principal, Any], Awaitable[JsonObject]]
    read_only: bool = True


class Starting(Request):
    """Starts a run: an agent works on a goal. The run's id comes back at once; follow it with follow_run."""

    goal: str = Field(min_length=1, max_length=8000)
    environment: Name = "dev"
    agent: Name = "operator"
    inputs: JsonObject = {}
    runbook: str | None = Field(default=None, max_length=300)


class Following(Request):
    """Tells what happened in a run after event `after`, waiting up to `wait_s` seconds for something new."""

    run_id: RunId
    after: int = Field(default=0, ge=0, description="The last number seen.")
    wait_s: float = Field(default=20, ge=0, le=_LONGEST_WAIT_S)


class Waiting(Request):
    """Lists the approvals that wait for a decision, with the digest that a decision must name."""

    run_id: RunId | None = None


class Deciding(Request):
    """Decides an approval that waits. The digest says what exactly is decided on."""

    approval_id: ApprovalId
    decision: Literal["approve", "edit", "reject"] = Field(
        description="`edit` approves it with other arguments; so is a question answered: {answer: ...}."
    )
    digest: Digest
    comment: str = Field(default="", max_length=4000)
    arguments: JsonObject | None = Field(
        default=None, description="With `edit`: all arguments, as they shall be."
    )


class Cancelling(Request):
    """Ends a run. What its plan can undo is undone first; nothing new is begun."""

    run_id: RunId
    reason: str = Field(default="", max_length=500)


class Looking(Request):
    """Searches the runbooks of this tenant."""

    query: str = Field(min_length=1, max_length=2000)
    limit: int = Field(default=5, ge=1, le=20)
    environment: Name | None = None


async def _start(held: Services, caller: Principal, asked: Starting) -> JsonObject:
    request = RunRequest(
        goal=asked.goal,
        environment=asked.environment,
        agent=asked.agent,
        inputs=asked.inputs,
        runbook=asked.runbook,
    )
    return _plain(await start_run(held, request, caller, operation=None))


async def _follow(held: Services, caller: Principal, asked: Following) -> JsonObject:
    await _own_run(held, caller, asked.run_id)
    events = await _news(held, caller.tenant, asked)
    run = await _own_run(held, caller, asked.run_id)
    last = events[-1].seq if events else asked.after
    return {"run": _plain(run), "events": [_plain(event) for event in events], "last": last}


async def _news(held: Services, tenant: str, asked: Following) -> Sequence[RunEvent]:
    """What is there already, else the first that comes in time."""
    found = await held.runs.events(tenant, asked.run_id, after=asked.after, limit=_MOST_EVENTS)
    if found or not asked.wait_s:
        return found
    with held.streams.slot(tenant):
        try:
            async with asyncio.timeout(asked.wait_s):
                async with aclosing(held.streams.run(tenant, asked.run_id, after=asked.after)) as coming:
                    async for _ in coming:
                        break
        except TimeoutError:
            return ()
    return await held.runs.events(tenant, asked.run_id, after=asked.after, limit=_MOST_EVENTS)


async def _waiting(held: Services, caller: Principal, asked: Waiting) -> JsonObject:
    ids = await held.decisions.page(
        caller.tenant,
        statuses=(ApprovalStatus.PENDING,),
        run_id=asked.run_id,
        environments=caller.environments,
        after=None,
        limit=50,
    )
    return {"approvals": [_plain(await held.approvals.read(caller.tenant, found)) for found in ids]}


async def _decide(held: Services, caller: Principal, asked: Deciding) -> JsonObject:
    decided = await decide(
        held,
        caller,
        asked.approval_id,
        decision=asked.decision,
        digest=asked.digest,
        comment=asked.comment,
        arguments=asked.arguments,
    )
    return _plain(decided)


async def _cancel(held: Services, caller: Principal, asked: Cancelling) -> JsonObject:
    run = await _own_run(held, caller, asked.run_id)
    command = CancelCommand(mode="graceful", reason=asked.reason, by=caller.id)
    return _plain(await commanded(held, run, "cancel", command))


async def _look(held: Services, caller: Principal, asked: Looking) -> JsonObject:
    where = SearchFilter(environment=asked.environment)
    request = SearchRequest(query=asked.query, limit=asked.limit, where=where)
    library = await held.shelf.library()
    found = await library.search(caller.tenant, request)
    hits = tuple(hit for hit in found.hits if visible(caller, hit.document.environment))
    if len(hits) < len(found.hits):  # how sure it is follows from a hit that this caller may not be told
        found = found.model_copy(update={"hits": hits, "answered": False, "confidence": 0.0})
    return _plain(found)


async def _own_run(held: Services, caller: Principal, run_id: str) -> Run:
    run = await held.runs.read(caller.tenant, run_id)
    if not caller.may_touch(run.environment):
        raise NotFound(f"There is no run {run_id}.", run_id=run_id)
    return run


def _plain(found: BaseModel) -> JsonObject:
    plain: JsonObject = found.model_dump(mode="json")
    return plain


OFFERS: Mapping[str, Offer] = {
    offer.name: offer
    for offer in (
        Offer("start_run", Permission.RUNS_WRITE, Starting, _start, read_only=False),
        Offer("follow_run", Permission.RUNS_READ, Following, _follow),
        Offer("list_approvals", Permission.APPROVALS_READ, Waiting, _waiting),
        Offer("cancel_run", Permission.RUNS_WRITE, Cancelling, _cancel, read_only=False),
        Offer("decide_approval", Permission.APPROVALS_DECIDE, Deciding, _decide, read_only=False),
        Offer("search_runbooks", Permission.RUNBOOKS_READ, Looking, _look),
    )
}
