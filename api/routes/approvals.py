"""Approvals: what waits for a person, and what the person says. A decision is stored before the run hears of it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from api.cursors import Cursor, Limit, page_by_time, position
from api.deciding import decide, delegate, readable
from api.problems import documented
from api.services import Caller, Held
from schemas.approvals import Approval, ApprovalStatus
from schemas.base import Digest, JsonObject, Request
from schemas.brakes import ScopeEntry
from schemas.pages import Page

router = APIRouter(prefix="/v1/approvals", tags=["approvals"], responses=documented(404))

ApprovalIdPath = Annotated[str, Path(pattern=r"^apr_[0-9a-z]{20,40}$", description="The id of the approval.")]


class DecisionRequest(Request):
    decision: Literal["approve", "edit", "reject"]
    digest: Digest = Field(
        description="The digest that was read: what is decided is exactly that, and nothing since."
    )
    comment: str = Field(default="", max_length=4000)
    arguments: JsonObject | None = Field(
        default=None, description="With `edit`: the arguments to use instead."
    )
    scope: tuple[ScopeEntry, ...] = Field(
        default=(),
        max_length=32,
        description="With `approve`: what else to let through for the rest of this run, without asking.",
    )


class DelegationRequest(Request):
    to: str = Field(
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9][\w.:@|/-]*$",
        description="Who may decide as well: a role, or one person as approvals name them (`key:…`, `user:…`).",
    )
    comment: str = Field(default="", max_length=4000)


@router.get("")
async def list_approvals(
    held: Held,
    caller: Caller,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[list[ApprovalStatus] | None, Query(description="Any of these.")] = None,
    run_id: Annotated[str | None, Query(max_length=50, description="What one run asks.")] = None,
) -> Page[Approval]:
    """What was asked, newest first."""
    ids = await held.decisions.page(
        caller.tenant,
        statuses=status or (),
        run_id=run_id,
        environments=caller.environments,
        after=position(cursor),
        limit=limit + 1,
    )
    found = [await held.approvals.read(caller.tenant, approval_id) for approval_id in ids]
    items, following = page_by_time(found, limit)
    return Page(items=items, next=following)


@router.get("/{approval_id}")
async def read_approval(approval_id: ApprovalIdPath, held: Held, caller: Caller) -> Approval:
    """One question, with what was said to it."""
    return await readable(held, caller, approval_id)


@router.post("/{approval_id}/decision", responses=documented(409, 413, 415))
async def decide_approval(
    approval_id: ApprovalIdPath, request: DecisionRequest, held: Held, caller: Caller
) -> Approval:
    """Say yes, yes with other arguments, or no. The first valid decision of a person counts; a later one is refused."""
    return await decide(
        held,
        caller,
        approval_id,
        decision=request.decision,
        digest=request.digest,
        comment=request.comment,
        arguments=request.arguments,
        scope=request.scope,
    )


@router.post("/{approval_id}/delegations", responses=documented(409, 413, 415))
async def delegate_approval(
    approval_id: ApprovalIdPath, request: DelegationRequest, held: Held, caller: Caller
) -> Approval:
    """Let a group, or one person, decide as well. Only who may decide can say so; it ends with the approval."""
    return await delegate(held, caller, approval_id, to=request.to, comment=request.comment)
