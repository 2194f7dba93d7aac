"""Bundles as people name them: by what `holdfast policies history` prints."""

from collections.abc import Sequence

from holdfast.client import Holdfast
from holdfast.errors import InvalidInput, NotFound
from schemas.base import Digest
from schemas.policy_desk import Activation, BundleDiff

_PREFIX = "sha256:"
_WHOLE = len(_PREFIX) + 64
_FEWEST = 6


async def between(holdfast: Holdfast, named: Sequence[str]) -> BundleDiff:
    """None named: what an activation would change. One: what has changed since. Two: the first against the second."""
    if len(named) > 2:
        raise InvalidInput("Compare two bundles at a time.")
    digests = [await _digest(holdfast, name) for name in named]
    return await holdfast.policies.diff_bundles(**dict(zip(("before", "after"), digests, strict=False)))


async def _digest(holdfast: Holdfast, name: str) -> Digest:
    whole = name if name.startswith(_PREFIX) else _PREFIX + name
    if len(whole) == _WHOLE:
        return whole
    found = {move.digest for move in await holdfast.policies.activations() if _is_named(move, name, whole)}
    if len(found) != 1:
        raise NotFound(
            f"There {'are several bundles' if found else 'is no bundle'} {name} among the activations.",
            remedy="`holdfast policies history` prints their numbers and the beginnings of their digests.",
        )
    return found.pop()


def _is_named(move: Activation, name: str, whole: str) -> bool:
    return name == str(move.number) or (
        len(whole) >= len(_PREFIX) + _FEWEST and move.digest.startswith(whole)
    )
