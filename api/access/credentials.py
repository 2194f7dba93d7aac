"""From an Authorization header to a principal. Keys are asked of Postgres, tokens of their issuer's public keys."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from api.access.permissions import RouteClass
from api.access.tokens import TokenReader
from holdfast.adapters.postgres.access import PostgresKeys, PostgresRoles
from holdfast.errors import LimitReached, Unauthenticated
from holdfast.runtime.settings import AuthSettings
from schemas.access import ROLE_PERMISSIONS, Permission, Principal, Role

Known = Mapping[str, frozenset[Permission]]
"""Roles, and what each permits."""

_REMEDY = "Send `Authorization: Bearer` with an API key (`holdfast keys create`) or a token of the configured issuer."


OPEN_DOOR = Principal(
    tenant="default",
    id="user:anonymous",
    roles=(Role.PLATFORM_ADMIN,),
    permissions=ROLE_PERMISSIONS[Role.PLATFORM_ADMIN],
)
"""Who everybody is where nobody is asked. Settings refuse that in `prod`."""


@dataclass(frozen=True)
class Rate:
    """Requests a second in the long run, and how many may come at once."""

    per_s: float
    burst: float


def rate_of(settings: AuthSettings, route_class: RouteClass) -> Rate:
    """Ten seconds' worth may come at once. Opening a stream counts as a read, from a bucket of its own."""
    per_s = settings.writes_per_s if route_class == "write" else settings.reads_per_s
    return Rate(per_s=per_s, burst=max(1.0, per_s * 10))


@dataclass(frozen=True)
class Credentials:
    settings: AuthSettings
    keys: PostgresKeys
    custom: PostgresRoles
    tokens: TokenReader | None

    async def admit(self, authorization: str, *, route_class: RouteClass) -> Principal:
        """Who this is, with one token taken from their bucket. Raises for strangers and for the impatient."""
        if not self.settings.enabled:
            return OPEN_DOOR
        scheme, _, secret = authorization.partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise Unauthenticated("No credentials were sent.", remedy=_REMEDY)
        if secret.startswith("hf_"):
            return await self._by_key(secret, route_class)
        return await self._by_token(secret, route_class)

    async def _by_key(self, secret: str, route_class: RouteClass) -> Principal:
        rate = rate_of(self.settings, route_class)
        admission = await self.keys.admit(secret, route_class=route_class, rate=rate.per_s, burst=rate.burst)
        if admission is None:
            raise Unauthenticated("This API key is unknown, expired or revoked.", remedy=_REMEDY)
        _refuse_haste(admission.wait_s)
        known = await self._known(admission.tenant, admission.roles, have=admission.extra)
        return Principal(
            tenant=admission.tenant,
            id=f"key:{secret.split('_')[1]}",
            name=admission.name,
            roles=admission.roles,
            permissions=permitted(admission.roles, known, extra=admission.extra, scopes=admission.scopes),
            only_in=permitted_in(admission.roles, known, scopes=admission.scopes),
            environments=admission.environments,
        )

    async def _by_token(self, secret: str, route_class: RouteClass) -> Principal:
        if self.tokens is None:
            raise Unauthenticated("This is no API key, and no token issuer is configured.", remedy=_REMEDY)
        claims = await self.tokens.read(secret)
        rate = rate_of(self.settings, route_class)
        bucket = f"{claims.tenant} {claims.subject} {route_class}"
        _refuse_haste(await self.keys.take_token(bucket, rate=rate.per_s, burst=rate.burst))
        known = await self._known(claims.tenant, claims.roles)
        return Principal(
            tenant=claims.tenant,
            id=f"user:{claims.subject}",
            name=claims.name,
            roles=claims.roles,
            permissions=permitted(claims.roles, known),
            only_in=permitted_in(claims.roles, known),
            environments=claims.environments,
        )

    async def _known(
        self, tenant: str, roles: tuple[str, ...], *, have: tuple[str, ...] | None = None
    ) -> Known:
        """What each role permits. The tenant's own are asked for where one is named that Postgres has not told yet."""
        unknown = {
            role.partition("@")[0] for role in roles if have is None or "@" in role
        } - ROLE_PERMISSIONS.keys()
        if not unknown:
            return ROLE_PERMISSIONS
        custom = {role.name: frozenset(role.permissions) for role in await self.custom.all(tenant)}
        return {**custom, **ROLE_PERMISSIONS}


def permitted(
    roles: tuple[str, ...],
    known: Known = ROLE_PERMISSIONS,
    *,
    extra: tuple[str, ...] = (),
    scopes: tuple[str, ...] | None = None,
) -> frozenset[Permission]:
    """What the roles permit everywhere, narrowed by the scopes. What this version does not know permits nothing."""
    by_name = {permission.value: permission for permission in Permission}
    granted = {by_name[name] for name in extra if name in by_name}
    for role in roles:
        granted |= known.get(role, frozenset())
    return _narrowed(granted, scopes)


def permitted_in(
    roles: tuple[str, ...], known: Known, *, scopes: tuple[str, ...] | None = None
) -> dict[str, frozenset[Permission]]:
    """What roles that are bound to an environment permit there."""
    found: dict[str, frozenset[Permission]] = {}
    for role, bound, environment in (one.partition("@") for one in roles):
        if bound:
            granted = found.get(environment, frozenset()) | known.get(role, frozenset())
            found[environment] = _narrowed(granted, scopes)
    return found


def _narrowed(granted: AbstractSet[Permission], scopes: tuple[str, ...] | None) -> frozenset[Permission]:
    return frozenset(granted if scopes is None else {one for one in granted if one.value in scopes})


def _refuse_haste(wait_s: float) -> None:
    if wait_s > 0:
        raise LimitReached(
            "Too many requests with these credentials.",
            remedy="Wait as Retry-After says; follow events instead of polling.",
            retry_after_s=wait_s,
        )
