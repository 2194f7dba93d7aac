"""Nobody gives away what they do not have: not with a key, not with a role."""

from collections.abc import Iterable, Sequence

from api.services import Services
from holdfast.errors import Forbidden, Unprocessable
from schemas.access import ROLE_PERMISSIONS, Permission, Principal


async def role_permissions(held: Services, tenant: str, roles: Sequence[str]) -> frozenset[Permission]:
    """What the roles permit; an unknown role is an error, not nothing."""
    custom = {role.name: frozenset(role.permissions) for role in await held.roles.all(tenant)}
    granted: frozenset[Permission] = frozenset()
    for role in roles:
        found = ROLE_PERMISSIONS.get(role, custom.get(role))
        if found is None:
            raise Unprocessable(
                f"There is no role {role}.", remedy=f"Built in are {', '.join(ROLE_PERMISSIONS)}."
            )
        granted |= found
    return granted


def refuse_more_than_own(
    caller: Principal,
    granted: Iterable[Permission],
    scopes: Sequence[str] | None,
    environments: Sequence[str] | None,
) -> None:
    wanted = {one for one in granted if scopes is None or one.value in scopes}
    beyond = sorted(one.value for one in wanted - caller.permissions)
    if beyond:
        raise Forbidden(
            f"{caller.id} cannot give away what it does not have: {', '.join(beyond)}.",
            remedy="Narrow the key with `scopes`.",
        )
    if caller.environments is not None and not set(environments or ("*",)) <= set(caller.environments):
        raise Forbidden(f"{caller.id} may only give away {', '.join(caller.environments)}.")
