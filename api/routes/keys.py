"""API keys: made, listed, rotated, revoked. A secret is in one answer, and nowhere else."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.cursors import Cursor, Limit, page_by_key, place
from api.granting import reaches_no_further, refuse_grant
from api.problems import documented
from api.services import Caller, Held, Services
from holdfast.errors import NotFound
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
    await refuse_grant(held, caller, draft.roles, scopes=draft.scopes, environments=draft.environments)
    key = await held.keys.create(caller.tenant, draft, created_by=caller.id)
    response.headers["Location"] = f"/v1/keys/{key.id}"
    response.headers["X-Shown-Once"] = "true"
    return key


@router.get("/v1/keys", responses=documented())
async def list_keys(
    held: Held,
    caller: Caller,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ApiKey]:
    """Keys, newest first."""
    found = await held.keys.page(caller.tenant, after=place(cursor, str), limit=limit + 1)
    items, following = page_by_key(found, limit, "id")
    return Page(items=[key for key in items if reaches_no_further(caller, key)], next=following)


@router.get("/v1/keys/{key_id}", responses=documented(404))
async def read_key(key_id: KeyIdPath, held: Held, caller: Caller) -> ApiKey:
    """One key, without its secret."""
    return await _own(held, caller, key_id)


@router.post("/v1/keys/{key_id}/rotate", status_code=201, responses=documented(404, 409, 413, 415))
async def rotate_key(
    key_id: KeyIdPath, request: ApiKeyRotation, response: Response, held: Held, caller: Caller
) -> NewApiKey:
    """A new key with the same rights; the old one works on for the overlap."""
    old = await _own(held, caller, key_id)
    await refuse_grant(held, caller, old.roles, scopes=old.scopes, environments=old.environments)
    key = await held.keys.rotate(caller.tenant, key_id, overlap_s=request.overlap_s, by=caller.id)
    response.headers["X-Shown-Once"] = "true"
    return key


@router.delete("/v1/keys/{key_id}", responses=documented(404))
async def revoke_key(key_id: KeyIdPath, held: Held, caller: Caller) -> ApiKey:
    """End a key at once."""
    await _own(held, caller, key_id)
    return await held.keys.revoke(caller.tenant, key_id)


async def _own(held: Services, caller: Principal, key_id: str) -> ApiKey:
    key = await held.keys.read(caller.tenant, key_id)
    if not reaches_no_further(caller, key):
        raise NotFound(f"There is no API key {key_id}.")
    return key
