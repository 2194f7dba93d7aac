"""From an Authorization header to a principal. Keys are asked of Postgres, tokens of their issuer's public keys."""

from dataclasses import dataclass

from api.access.permissions import RouteClass
from api.access.tokens import TokenReader
from holdfast.adapters.postgres.access import PostgresKeys
from holdfast.errors import LimitReached, Unauthenticated
from holdfast.runtime.settings import AuthSettings
from schemas.access import ROLE_PERMISSIONS, Permission, Principal, Role

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
        return Principal(
            tenant=admission.tenant,
            id=f"key:{secret.split('_')[1]}",
            name=admission.name,
            roles=admission.roles,
            permissions=permitted(admission.roles, extra=admission.extra, scopes=admission.scopes),
            environments=admission.environments,
        )

    async def _by_token(self, secret: str, route_class: RouteClass) -> Principal:
        if self.tokens is None:
            raise Unauthenticated("This is no API key, and no token issuer is configured.", remedy=_REMEDY)
        claims = await self.tokens.read(secret)
        rate = rate_of(self.settings, route_class)
        bucket = f"{claims.tenant} {claims.subject} {route_class}"
        _refuse_haste(await self.keys.take_token(bucket, rate=rate.per_s, burst=rate.burst))
        return Principal(
            tenant=claims.tenant,
            id=f"user:{claims.subject}",
            name=claims.name,
            roles=claims.roles,
            permissions=permitted(claims.roles),
            environments=claims.environments,
        )


def permitted(
    roles: tuple[str, ...], *, extra: tuple[str, ...] = (), scopes: tuple[str, ...] | None = None
) -> frozenset[Permission]:
    """What the roles permit, narrowed by the scopes. A permission this version does not know permits nothing."""
    known = {permission.value: permission for permission in Permission}
    granted = {known[name] for name in extra if name in known}
    for role in roles:
        granted |= ROLE_PERMISSIONS.get(role, frozenset())
    return frozenset(granted if scopes is None else {one for one in granted if one.value in scopes})


def _refuse_haste(wait_s: float) -> None:
    if wait_s > 0:
        raise LimitReached(
            "Too many requests with these credentials.",
            remedy="Wait as Retry-After says; follow events instead of polling.",
            retry_after_s=wait_s,
        )
