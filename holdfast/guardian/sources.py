"""Where the guardian gets its rules from: a port, and the source that knows only what ships."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.errors import NotFound
from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.shipped import shipped_book
from schemas.base import Digest
from schemas.brakes import Envelope, Freeze


@dataclass(frozen=True)
class InForce:
    """What holds for a tenant now. `problem`: its own bundle cannot be read, and nothing may be allowed meanwhile."""

    book: RuleBook
    freezes: Sequence[Freeze] = ()
    problem: str = ""


class PolicySource(Protocol):
    """Cheap when nothing has changed: it is asked before every action. Raises Unavailable, and never guesses."""

    async def in_force(self, tenant: str) -> InForce: ...

    async def book(self, tenant: str, digest: Digest) -> RuleBook:
        """An earlier bundle. Raises NotFound."""
        ...

    async def envelopes(self, tenant: str, run_id: str) -> Sequence[Envelope]:
        """What humans have approved in advance for this run; asked only where an action would need approval."""
        ...


class FixedPolicies:
    """One book, in memory, for every tenant; the shipped one unless another is given."""

    def __init__(self, book: RuleBook | None = None) -> None:
        self._book = book

    async def in_force(self, tenant: str) -> InForce:  # noqa: ARG002 -- every tenant has the same
        return InForce(self._book or shipped_book())

    async def book(self, tenant: str, digest: Digest) -> RuleBook:
        book = (await self.in_force(tenant)).book
        if book.digest != digest:
            raise NotFound(f"There is no policy bundle {digest}.", bundle=digest)
        return book

    async def envelopes(self, tenant: str, run_id: str) -> Sequence[Envelope]:  # noqa: ARG002
        return ()
