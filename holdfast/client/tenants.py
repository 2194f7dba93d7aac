"""Tenants and their own roles over HTTP."""

from collections.abc import Callable, Sequence

from holdfast.client.wire import Wire
from schemas.access import CustomRole, CustomRoleDraft, NewTenant, Tenant, TenantDraft, TenantLimits


class TenantsClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def all(self) -> Sequence[Tenant]:
        return await self._wire.whole("/v1/tenants", Tenant)

    async def read(self, tenant: str) -> Tenant:
        return Tenant.model_validate_json((await self._wire.ask("GET", f"/v1/tenants/{tenant}")).content)

    async def create(self, draft: TenantDraft) -> NewTenant:
        """A tenant, with its first admin key: shown once."""
        body = draft.model_dump(mode="json", exclude_none=True)
        return NewTenant.model_validate_json((await self._wire.post("/v1/tenants", body)).content)

    async def change(self, tenant: str, change: Callable[[TenantLimits], TenantLimits]) -> Tenant:
        """Its title and limits; refused where somebody changes them at the same time."""
        standing = await self._wire.ask("GET", f"/v1/tenants/{tenant}")
        found = Tenant.model_validate_json(standing.content)
        limits = change(TenantLimits(title=found.title, **found.settings.model_dump()))
        response = await self._wire.ask(
            "PUT",
            f"/v1/tenants/{tenant}",
            body=limits.model_dump(mode="json"),
            headers={"If-Match": standing.headers["ETag"]},
        )
        return Tenant.model_validate_json(response.content)


class RolesClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def all(self) -> Sequence[CustomRole]:
        """Those built in, and the tenant's own."""
        return await self._wire.whole("/v1/roles", CustomRole)

    async def read(self, name: str) -> CustomRole:
        return CustomRole.model_validate_json((await self._wire.ask("GET", f"/v1/roles/{name}")).content)

    async def write(self, name: str, draft: CustomRoleDraft) -> CustomRole:
        response = await self._wire.ask("PUT", f"/v1/roles/{name}", body=draft.model_dump(mode="json"))
        return CustomRole.model_validate_json(response.content)

    async def remove(self, name: str) -> None:
        await self._wire.ask("DELETE", f"/v1/roles/{name}")
