"""Policies: versions that never change, the bundle in force, and what a change would do before it is made."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.editing import IfMatch, refuse_stale, tag
from api.problems import documented
from api.services import Caller, Held
from schemas.base import Digest, Name
from schemas.pages import Items
from schemas.policies import Bundle, PolicyTemplate, PolicyVersion
from schemas.policy_desk import (
    Activation,
    ActivationRequest,
    BacktestReport,
    BacktestRequest,
    BundleDiff,
    ExperimentReport,
    Explanation,
    PolicyDiff,
    PolicyDraft,
    PolicyState,
    RollbackRequest,
    TrialRequest,
)

router = APIRouter(prefix="/v1", tags=["policies"])

PolicyPath = Annotated[Name, Path(description="The policy's name.")]
VersionPath = Annotated[int, Path(ge=1, le=2**31 - 1, description="The version's number.")]
VersionQuery = Annotated[int, Query(ge=1, le=2**31 - 1, description="A version's number.")]
BundleQuery = Annotated[
    Digest | None, Query(description="The digest of a bundle; what is in force where it is left out.")
]
Days = Annotated[float, Query(gt=0, le=3650, description="How far to look back.")]


OnlyCheck = Annotated[bool, Query(description="Only check it: nothing is stored.")]


@router.get("/policies", responses=documented())
async def list_policies(held: Held, caller: Caller) -> Items[PolicyState]:
    """Every policy, the newest version and the one in force; those that ship last."""
    return Items(items=await held.policies.listed(caller.tenant))


@router.post("/policies", status_code=201, responses=documented(409, 413, 415, 422))
async def create_policy(
    draft: PolicyDraft, response: Response, held: Held, caller: Caller, *, only_check: OnlyCheck = False
) -> PolicyVersion:
    """A new policy. It is checked now and counts once it is activated."""
    created = await held.policies.create(caller.tenant, draft, author=caller.id, only_check=only_check)
    response.headers["Location"] = f"/v1/policies/{created.name}"
    return tag(created, response)


@router.get("/policies/{name}", responses=documented(404))
async def read_policy(name: PolicyPath, response: Response, held: Held, caller: Caller) -> PolicyVersion:
    """The newest version of a policy."""
    return tag(await held.policies.read(caller.tenant, name), response)


@router.put("/policies/{name}", responses=documented(404, 409, 412, 413, 415, 422))
async def update_policy(
    name: PolicyPath,
    draft: PolicyDraft,
    response: Response,
    held: Held,
    caller: Caller,
    if_match: IfMatch = None,
    *,
    only_check: OnlyCheck = False,
) -> PolicyVersion:
    """A new version of a policy; with If-Match only if nobody wrote one in the meantime."""
    if if_match is not None:
        newest = await held.policies.read(caller.tenant, name)
        refuse_stale(newest.version, if_match, what=f"Policy {name}")
    updated = await held.policies.update(caller.tenant, name, draft, author=caller.id, only_check=only_check)
    return tag(updated, response)


@router.delete("/policies/{name}", status_code=204, responses=documented(404))
async def retire_policy(name: PolicyPath, held: Held, caller: Caller) -> None:
    """Leave a policy out of every later bundle. What is in force changes with the next activation only."""
    await held.policies.retire(caller.tenant, name, by=caller.id)


@router.get("/policies/{name}/versions", responses=documented(404))
async def list_policy_versions(name: PolicyPath, held: Held, caller: Caller) -> Items[PolicyVersion]:
    """All versions of a policy, oldest first."""
    return Items(items=await held.policies.versions(caller.tenant, name))


@router.get("/policies/{name}/versions/{version}", responses=documented(404))
async def read_policy_version(
    name: PolicyPath, version: VersionPath, held: Held, caller: Caller
) -> PolicyVersion:
    """One version of a policy."""
    return await held.policies.read(caller.tenant, name, version)


@router.delete("/policies/{name}/versions/{version}", status_code=204, responses=documented(404, 409))
async def discard_policy_version(name: PolicyPath, version: VersionPath, held: Held, caller: Caller) -> None:
    """Delete a draft: a version that no bundle ever named."""
    await held.policies.discard(caller.tenant, name, version)


@router.get("/policies/{name}/diff", responses=documented(404))
async def diff_policy(
    name: PolicyPath, before: VersionQuery, after: VersionQuery, held: Held, caller: Caller
) -> PolicyDiff:
    """What two versions say differently, field by field."""
    return await held.policies.diff(caller.tenant, name, before, after)


@router.get("/policies/{name}/experiment", responses=documented(404))
async def read_experiment(name: PolicyPath, held: Held, caller: Caller, days: Days = 30) -> ExperimentReport:
    """How a policy in rollout `ab` does in the runs it decides, beside those in which it only watches."""
    return await held.policies.experiment(caller.tenant, name, days=days)


@router.get("/policy-templates", responses=documented())
async def list_templates(held: Held) -> Items[PolicyTemplate]:
    """Rules with blanks to start from."""
    return Items(items=held.policies.templates())


@router.get("/policy-bundles", responses=documented())
async def list_activations(held: Held, caller: Caller) -> Items[Activation]:
    """Every activation, newest first."""
    return Items(items=await held.policies.activations(caller.tenant))


@router.get("/policy-bundles/active", responses=documented())
async def read_active_bundle(held: Held, caller: Caller) -> Bundle:
    """The bundle in force, with every rule in it."""
    return await held.policies.active(caller.tenant)


@router.get("/policy-bundles/diff", responses=documented(404, 422))
async def diff_bundles(
    held: Held, caller: Caller, before: BundleQuery = None, after: BundleQuery = None
) -> BundleDiff:
    """What two bundles say differently: rules added, removed and changed, field by field. One alone is compared with what
    is in force; none: what is in force with what activating the newest of all would put in force."""
    return await held.policies.diff_bundles(caller.tenant, before, after)


@router.post("/policy-bundles/activate", status_code=201, responses=documented(404, 413, 415, 422))
async def activate_policies(request: ActivationRequest, held: Held, caller: Caller) -> Activation:
    """Put policies in force: those named beside what is in force now, or the newest of all."""
    return await held.policies.activate(caller.tenant, request, by=caller.id)


@router.post("/policy-bundles/rollback", status_code=201, responses=documented(404, 409, 413, 415))
async def roll_policies_back(request: RollbackRequest, held: Held, caller: Caller) -> Activation:
    """Put an earlier bundle in force again, as it was."""
    return await held.policies.rollback(caller.tenant, request, by=caller.id)


@router.post("/policy-trials", responses=documented(404, 413, 415, 422))
async def try_action(request: TrialRequest, held: Held, caller: Caller) -> Explanation:
    """What would be decided on an action, and what every rule makes of it. Nothing is stored or done."""
    return await held.policies.trial(caller.tenant, request)


@router.post("/policy-backtests", responses=documented(404, 413, 415, 422))
async def backtest_policies(request: BacktestRequest, held: Held, caller: Caller) -> BacktestReport:
    """Decide all recorded actions again, as if this were in force: what would change, with samples."""
    return await held.policies.backtest(caller.tenant, request)
