"""Tenants, for those who run the platform; and each tenant's own roles."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.editing import IfMatch, content_tag, etag, refuse_stale
from api.granting import refuse_more_than_own
from api.problems import documented
from api.services import Caller, Held, Services
from holdfast.errors import Conflict, NotFound
from schemas.access import (
    ROLE_PERMISSIONS,
    ApiKeyDraft,
    CustomRole,
    CustomRoleDraft,
    NewTenant,
    Role,
    Tenant,
    TenantDraft,
    TenantLimits,
)
from schemas.base import Name
from schemas.pages import Items

router = APIRouter(tags=["access"])

TenantPath = Annotated[Name, Path(description="The tenant's name.")]
RolePath = Annotated[Name, Path(description="The role's name.")]


@router.get("/v1/tenants", responses=documented())
async def list_tenants(held: Held) -> Items[Tenant]:
    """All tenants."""
    return Items(items=await held.tenants.all())


@router.post("/v1/tenants", status_code=201, responses=documented(409, 413, 415))
async def create_tenant(draft: TenantDraft, response: Response, held: Held, caller: Caller) -> NewTenant:
    """A new tenant, with its first admin key: the only way in, shown once."""
    tenant = await held.tenants.create(draft)
    first = ApiKeyDraft(name="first admin", roles=(Role.ADMIN,))
    key = await held.keys.create(tenant.tenant, first, created_by=caller.id)
    response.headers["Location"] = f"/v1/tenants/{tenant.tenant}"
    response.headers["X-Shown-Once"] = "true"
    return NewTenant(**tenant.model_dump(), first_key=key)


@router.get("/v1/tenants/{tenant}", responses=documented(404))
async def read_tenant(tenant: TenantPath, response: Response, held: Held) -> Tenant:
    """One tenant and what it may use up."""
    found = await held.tenants.read(tenant)
    response.headers["ETag"] = etag(content_tag(found))
    return found


@router.put("/v1/tenants/{tenant}", responses=documented(404, 412, 413, 415))
async def change_tenant(
    tenant: TenantPath, limits: TenantLimits, response: Response, held: Held, if_match: IfMatch = None
) -> Tenant:
    """A tenant's title and limits, if it is as it was read. What is not said has no limit."""
    refuse_stale(content_tag(await held.tenants.read(tenant)), if_match, what=f"Tenant {tenant}")
    changed = await held.tenants.change(TenantDraft(tenant=tenant, **limits.model_dump()))
    response.headers["ETag"] = etag(content_tag(changed))
    return changed


@router.get("/v1/roles", responses=documented())
async def list_roles(held: Held, caller: Caller) -> Items[CustomRole]:
    """The roles there are: those built in, and the tenant's own."""
    return Items(items=await _all_roles(held, caller.tenant))


@router.get("/v1/roles/{name}", responses=documented(404))
async def read_role(name: RolePath, response: Response, held: Held, caller: Caller) -> CustomRole:
    """One role and what it permits."""
    found = next((role for role in await _all_roles(held, caller.tenant) if role.name == name), None)
    if found is None:
        raise NotFound(f"There is no role {name}.", remedy="GET /v1/roles lists them.")
    response.headers["ETag"] = etag(content_tag(found))
    return found


@router.put("/v1/roles/{name}", responses=documented(409, 412, 413, 415))
async def write_role(
    name: RolePath,
    draft: CustomRoleDraft,
    response: Response,
    held: Held,
    caller: Caller,
    if_match: IfMatch = None,
) -> CustomRole:
    """A role of the tenant's own: a set of permissions. It holds at once for all keys that have it."""
    _refuse_built_in(name)
    refuse_more_than_own(caller, draft.permissions, None)
    standing = next((role for role in await held.roles.all(caller.tenant) if role.name == name), None)
    refuse_stale(content_tag(standing) if standing else "none", if_match, what=f"Role {name}")
    written = await held.roles.write(caller.tenant, name, draft)
    response.headers["ETag"] = etag(content_tag(written))
    return written


@router.delete("/v1/roles/{name}", status_code=204, responses=documented(404, 409))
async def remove_role(name: RolePath, held: Held, caller: Caller) -> None:
    """Take a role away; keys that have it lose what it permitted."""
    _refuse_built_in(name)
    await held.roles.remove(caller.tenant, name)


async def _all_roles(held: Services, tenant: str) -> list[CustomRole]:
    built_in = [
        CustomRole(name=name, permissions=tuple(sorted(permissions)), description="built in")
        for name, permissions in ROLE_PERMISSIONS.items()
    ]
    return [*built_in, *await held.roles.all(tenant)]


def _refuse_built_in(name: str) -> None:
    if name in ROLE_PERMISSIONS:
        raise Conflict(f"The role {name} is built in.", remedy="Choose another name.")
