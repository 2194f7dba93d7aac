"""What the policy desk and the guardian need of a database: two ports."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.guardian.backtesting import Recorded
from holdfast.guardian.experiments import RunTally
from schemas.base import Digest
from schemas.policies import (
    Activation,
    Bundle,
    Envelope,
    Freeze,
    FreezeDraft,
    FreezeFilter,
    PolicyRef,
    PolicyVersion,
)


@dataclass(frozen=True)
class Head:
    """What is in force. `revision` moves with every activation, freeze and thaw; no digest means the shipped bundle."""

    revision: int
    digest: Digest | None


class PolicyStore(Protocol):
    async def add(self, tenant: str, version: PolicyVersion) -> PolicyVersion: ...
    async def versions(self, tenant: str, name: str) -> Sequence[PolicyVersion]: ...
    async def named(self, tenant: str, refs: Sequence[PolicyRef]) -> Sequence[PolicyVersion]: ...
    async def newest(self, tenant: str) -> Sequence[PolicyVersion]: ...
    async def retired(self, tenant: str) -> frozenset[str]: ...
    async def retire(self, tenant: str, name: str, *, by: str) -> None: ...
    async def discard(self, tenant: str, name: str, version: int) -> None: ...
    async def head(self, tenant: str) -> Head: ...
    async def in_force(self, tenant: str, digest: Digest | None) -> Sequence[PolicyRef]: ...
    async def bundle(self, tenant: str, digest: Digest) -> Bundle: ...
    async def keep(self, tenant: str, bundle: Bundle) -> Digest: ...
    async def activate(
        self, tenant: str, bundle: Bundle, *, by: str, note: str, expected: Head | None = None
    ) -> Activation:
        """Raises Conflict where another bundle than the expected one is in force by now."""
        ...

    async def reactivate(self, tenant: str, digest: Digest, *, by: str, note: str) -> Activation: ...
    async def activations(self, tenant: str, *, limit: int = 100) -> Sequence[Activation]: ...


class BrakeStore(Protocol):
    """Freezes, and what was approved in advance."""

    async def freeze(self, tenant: str, draft: FreezeDraft, *, by: str) -> Freeze: ...
    async def thaw(self, tenant: str, which: FreezeFilter, *, by: str) -> Sequence[Freeze]: ...
    async def freezes(self, tenant: str, *, thawed: bool = False) -> Sequence[Freeze]: ...
    async def grant(self, tenant: str, envelope: Envelope, *, digest: Digest) -> None: ...
    async def envelopes(self, tenant: str, run_id: str) -> Sequence[Envelope]: ...


class RecordStore(Protocol):
    """Recorded verdicts, for backtests and experiments."""

    def recorded(self, tenant: str, *, days: float, limit: int) -> AsyncIterator[Recorded | None]:
        """Newest first; None for a record that cannot be read any more."""
        ...

    async def tallies(self, tenant: str, policy: str, *, days: float) -> Sequence[RunTally]:
        """The runs in which the policy matched something, whether it counted or only watched."""
        ...
