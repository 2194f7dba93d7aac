"""Where the guardian gets its rules from: a port, and the source that knows only what ships."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.shipped import shipped_book
from schemas.base import Digest
from schemas.policies import Envelope, Freeze


@dataclass(frozen=True)
class InForce:
    """What holds for a tenant now."""

    book: RuleBook
    freezes: Sequence[Freeze] = ()


class PolicySource(Protocol):
    """Cheap when nothing has changed: it is asked before every action. Raises Unavailable, and never guesses."""

    async def in_force(self, tenant: str) -> InForce: ...

    async def book(self, tenant: str, digest: Digest) -> RuleBook:
        """An earlier bundle. Raises NotFound."""
        ...

    async def envelopes(self, tenant: str, run_id: str) -> Sequence[Envelope]:
        """What humans have approved in advance for this run; asked only where an action would need approval."""
        ...


class ShippedPolicies:
    """The shipped bundle, in memory, for every tenant."""

    async def in_force(self, tenant: str) -> InForce:  # noqa: ARG002 -- every tenant has the same
        return InForce(shipped_book())

    async def book(self, tenant: str, digest: Digest) -> RuleBook:  # noqa: ARG002
        return shipped_book()

    async def envelopes(self, tenant: str, run_id: str) -> Sequence[Envelope]:  # noqa: ARG002
        return ()
