"""Nobody gives away what they do not have: not with a key, not with a role."""

from collections.abc import Iterable, Sequence

from api.services import Services
from holdfast.errors import Forbidden, Unprocessable
from schemas.access import ROLE_PERMISSIONS, ApiKey, Permission, Principal


async def refuse_grant(
    held: Services,
    caller: Principal,
    roles: Sequence[str],
    *,
    scopes: Sequence[str] | None,
    environments: Sequence[str] | None,
) -> None:
    """Of a key: each role, everywhere the key reaches, or in the one environment that the role is bound to."""
    custom = {role.name: frozenset(role.permissions) for role in await held.roles.all(caller.tenant)}
    for role, bound, environment in (one.partition("@") for one in roles):
        found = ROLE_PERMISSIONS.get(role, custom.get(role))
        if found is None:
            raise Unprocessable(
                f"There is no role {role}.", remedy=f"Built in are {', '.join(ROLE_PERMISSIONS)}."
            )
        wanted = {one for one in found if scopes is None or one.value in scopes}
        refuse_more_than_own(caller, wanted, [environment] if bound else environments)


def refuse_more_than_own(
    caller: Principal, wanted: Iterable[Permission], environments: Sequence[str] | None
) -> None:
    """None is every environment, also those that do not exist yet."""
    beyond = sorted(one.value for one in wanted if not _has(caller, one, environments))
    if beyond:
        where = "everywhere" if environments is None else f"in {', '.join(environments)}"
        raise Forbidden(
            f"{caller.id} cannot give away what it does not have {where}: {', '.join(beyond)}.",
            remedy="Narrow the key with `scopes`, or to `environments` of yours.",
        )


def _has(caller: Principal, permission: Permission, environments: Sequence[str] | None) -> bool:
    own = caller.where(permission)
    return own is None or (environments is not None and set(environments) <= set(own))


def reaches_no_further(caller: Principal, key: ApiKey) -> bool:
    """Whether a key works in environments of the caller's only, so that it is theirs to read and to end."""
    if caller.environments is None:
        return True
    if key.environments is not None:
        return set(key.environments) <= set(caller.environments)
    return all("@" in role and role.partition("@")[2] in caller.environments for role in key.roles)
