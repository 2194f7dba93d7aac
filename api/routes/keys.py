"""API keys: made, listed, rotated, revoked. A secret is in one answer, and nowhere else."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.cursors import Limit
from api.granting import refuse_more_than_own, role_permissions
from api.problems import documented
from api.services import Caller, Held
from schemas.access import ApiKey, ApiKeyDraft, ApiKeyRotation, NewApiKey, Principal
from schemas.pages import Page

router = APIRouter(tags=["access"])

KeyIdPath = Annotated[str, Path(pattern=r"^[0-9a-f]{12}$", description="The id of the key: its middle part.")]


@router.get("/v1/whoami", responses=documented())
async def whoami(caller: Caller) -> Principal:
    """Who these credentials are, and what they may do."""
    return caller


@router.post("/v1/keys", status_code=201, responses=documented(409, 413, 415))
async def create_key(draft: ApiKeyDraft, response: Response, held: Held, caller: Caller) -> NewApiKey:
    """A new key. Its token is in this answer only; nobody can give away more than they have."""
    refuse_more_than_own(
        caller, await role_permissions(held, caller.tenant, draft.roles), draft.scopes, draft.environments
    )
    key = await held.keys.create(caller.tenant, draft, created_by=caller.id)
    response.headers["Location"] = f"/v1/keys/{key.id}"
    response.headers["X-Shown-Once"] = "true"
    return key


@router.get("/v1/keys", responses=documented())
async def list_keys(
    held: Held,
    caller: Caller,
    limit: Limit = 50,
    cursor: Annotated[
        str | None, Query(pattern=r"^[0-9a-f]{12}$", description="`next` of the page before.")
    ] = None,
) -> Page[ApiKey]:
    """Keys, newest first."""
    found = await held.keys.page(caller.tenant, after=cursor, limit=limit + 1)
    return Page(items=found[:limit], next=found[limit - 1].id if len(found) > limit else None)


@router.get("/v1/keys/{key_id}", responses=documented(404))
async def read_key(key_id: KeyIdPath, held: Held, caller: Caller) -> ApiKey:
    """One key, without its secret."""
    return await held.keys.read(caller.tenant, key_id)


@router.post("/v1/keys/{key_id}/rotate", status_code=201, responses=documented(404, 409, 413, 415))
async def rotate_key(
    key_id: KeyIdPath, request: ApiKeyRotation, response: Response, held: Held, caller: Caller
) -> NewApiKey:
    """A new key with the same rights; the old one works on for the overlap."""
    old = await held.keys.read(caller.tenant, key_id)
    refuse_more_than_own(
        caller, await role_permissions(held, caller.tenant, old.roles), old.scopes, old.environments
    )
    key = await held.keys.rotate(caller.tenant, key_id, overlap_s=request.overlap_s, by=caller.id)
    response.headers["X-Shown-Once"] = "true"
    return key


@router.delete("/v1/keys/{key_id}", responses=documented(404))
async def revoke_key(key_id: KeyIdPath, held: Held, caller: Caller) -> ApiKey:
    """End a key at once."""
    return await held.keys.revoke(caller.tenant, key_id)
