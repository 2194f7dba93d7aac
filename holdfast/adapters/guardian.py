"""The rules in force, kept ready in this process: a `PolicySource` on Postgres.

A question to Postgres at most every `max_age_s` says whether anything moved; bundles are compiled once per digest. What
is older than that is never used without asking, so when Postgres is away nothing is judged by rules that may be gone.
"""

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.shipped import shipped_book
from holdfast.guardian.sources import InForce
from holdfast.guardian.stores import BrakeStore, PolicyStore
from schemas.base import Digest
from schemas.brakes import Envelope

_MOST_BOOKS = 32

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Known:
    asked_at: float
    revision: int
    in_force: InForce


class StoredPolicies:
    """Fulfils `PolicySource`, and the port `Bundles` of the door that accepts runs."""

    def __init__(
        self,
        *,
        policies: PolicyStore,
        brakes: BrakeStore,
        max_age_s: float = 0.5,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policies = policies
        self._brakes = brakes
        self._max_age_s = max_age_s
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._books: OrderedDict[tuple[str, Digest], RuleBook] = OrderedDict()
        self._kept: set[tuple[str, Digest]] = set()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def in_force(self, tenant: str) -> InForce:
        known = self._fresh(tenant)
        if known:
            return known.in_force
        async with self._turns[tenant]:
            known = self._fresh(tenant) or await self._ask(tenant)
        return known.in_force

    async def book(self, tenant: str, digest: Digest) -> RuleBook:
        key = (tenant, digest)
        if key not in self._books:
            bundle = await self._policies.bundle(tenant, digest)
            # A thousand rules compile in a third of a second: long enough to let others have a turn.
            self._books[key] = await asyncio.to_thread(RuleBook, bundle)
        self._books.move_to_end(key)
        while len(self._books) > _MOST_BOOKS:
            self._books.popitem(last=False)
        return self._books[key]

    async def envelopes(self, tenant: str, run_id: str) -> Sequence[Envelope]:
        return await self._brakes.envelopes(tenant, run_id)

    async def active(self, tenant: str) -> Digest:
        """The digest of the bundle in force, kept in Postgres so that a run can name it for as long as it lives."""
        book = (await self.in_force(tenant)).book
        if (tenant, book.digest) not in self._kept:
            await self._policies.keep(tenant, book.bundle)
            self._kept.add((tenant, book.digest))
        return book.digest

    def _fresh(self, tenant: str) -> _Known | None:
        known = self._known.get(tenant)
        return known if known and self._monotonic() - known.asked_at < self._max_age_s else None

    async def _ask(self, tenant: str) -> _Known:
        asked_at = self._monotonic()
        head = await self._policies.head(tenant)
        known = self._known.get(tenant)
        if known and known.revision == head.revision:
            in_force = known.in_force
        else:
            # Read after the revision: a freeze that came in between is held to early, never too late.
            in_force = replace(
                await self._rules(tenant, head.digest), freezes=await self._brakes.freezes(tenant)
            )
        self._known[tenant] = _Known(asked_at, head.revision, in_force)
        return self._known[tenant]

    async def _rules(self, tenant: str, digest: Digest | None) -> InForce:
        if digest is None:
            return InForce(await asyncio.to_thread(shipped_book))
        try:
            return InForce(await self.book(tenant, digest))
        except ValueError as error:
            # Stored by another version of this program. The guardian denies until a bundle is activated that can be read.
            log.error("policy_bundle_unreadable", tenant=tenant, bundle=digest, error=str(error))  # noqa: TRY400
            return InForce(await asyncio.to_thread(shipped_book), problem=str(error))
