"""Composing the next bundle: what ships, and the tenant's versions that are to be in force."""

from collections.abc import Iterable, Mapping, Sequence

from holdfast.errors import NotFound, Unprocessable
from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.conditions import ConditionProblem
from holdfast.guardian.shipped import shipped_bundle
from schemas.policies import Bundle, PolicyRef, PolicyVersion
from schemas.policy_desk import ActivationRequest

MOST_POLICIES = 10_000
"""Compiling so many takes a worker about four seconds, once."""


def wanted(
    request: ActivationRequest, active: Iterable[PolicyRef], newest: Iterable[PolicyRef]
) -> Sequence[PolicyRef]:
    """The tenant's versions of the next bundle. Nothing named means the newest of everything not retired."""
    if not request.policies and not request.remove:
        return tuple(newest)
    chosen = {ref.name: ref for ref in active}
    _refuse_absent(request.remove, chosen)
    for name in request.remove:
        del chosen[name]
    chosen.update({ref.name: ref for ref in request.policies})
    return tuple(chosen[name] for name in sorted(chosen))


def composed(versions: Sequence[PolicyVersion]) -> Bundle:
    """The bundle of these versions beside what ships. Raises Unprocessable where they do not stand together."""
    if len(versions) > MOST_POLICIES:
        raise Unprocessable(
            f"A bundle holds at most {MOST_POLICIES} policies, and these are {len(versions)}.",
            remedy="Retire some, or say more in one: lists of names cost less than many rules.",
        )
    base = shipped_bundle()
    bundle = base.model_copy(update={"policies": (*base.policies, *versions)})
    try:
        RuleBook(bundle)
    except ConditionProblem as problem:
        raise Unprocessable(
            f"The bundle cannot be put together: {problem}.", remedy="Nothing was activated."
        ) from problem
    return bundle


def _refuse_absent(names: Iterable[str], chosen: Mapping[str, PolicyRef]) -> None:
    for name in names:
        if name not in chosen:
            raise NotFound(
                f"The policy {name} is not in force.", remedy="Nothing was activated.", policy=name
            )
