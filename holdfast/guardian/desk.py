"""The policy desk: everything people do with policies, for the API and whoever else serves them.

It decides; stores store. Each method is one question or one change, and a change either happens whole or not at all.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice

from holdfast.errors import Conflict, NotFound, Unprocessable
from holdfast.guardian import differences, experiments
from holdfast.guardian.admission import admit, drafted
from holdfast.guardian.backtesting import Backtest, Recorded
from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.composing import composed, wanted
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.judge import NoOpinions
from holdfast.guardian.reading import read_action
from holdfast.guardian.shipped import shipped_bundle, shipped_templates, shipped_versions
from holdfast.guardian.sources import FixedPolicies
from holdfast.guardian.stores import Head, PolicyStore, RecordStore
from holdfast.guardian.trials import explain, request_of
from schemas.base import Digest
from schemas.policies import Bundle, PolicyDocument, PolicyRef, PolicyTemplate, PolicyVersion
from schemas.policy_desk import (
    Activation,
    ActivationRequest,
    BacktestReport,
    BacktestRequest,
    BundleDiff,
    ExperimentReport,
    Explanation,
    PolicyDiff,
    PolicyDraft,
    PolicyState,
    RollbackRequest,
    TrialRequest,
)

_BATCH = 250


class PolicyDesk:
    def __init__(self, *, policies: PolicyStore, records: RecordStore) -> None:
        self._policies = policies
        self._records = records

    # Writing ---------------------------------------------------------------------------------------------------------

    async def create(
        self, tenant: str, draft: PolicyDraft, *, author: str, only_check: bool = False
    ) -> PolicyVersion:
        """The first version of a policy. It counts once it is activated."""
        if await self._policies.versions(tenant, draft.document.name):
            raise Conflict(
                f"There is a policy {draft.document.name} already.",
                remedy="Update it: that makes a new version.",
            )
        return await self._admit(tenant, draft, version=1, author=author, only_check=only_check)

    async def update(
        self, tenant: str, name: str, draft: PolicyDraft, *, author: str, only_check: bool = False
    ) -> PolicyVersion:
        """A new version; the ones before stay as they are."""
        if draft.document.name != name:
            raise Unprocessable(
                f"The document is named {draft.document.name}, not {name}; a policy keeps its name."
            )
        newest = (await self.versions(tenant, name))[-1]
        version = newest.version + 1
        return await self._admit(tenant, draft, version=version, author=author, only_check=only_check)

    async def retire(self, tenant: str, name: str, *, by: str) -> None:
        """Leave it out of every later bundle. What is in force changes with the next activation only."""
        await self.versions(tenant, name)
        await self._policies.retire(tenant, name, by=by)

    async def discard(self, tenant: str, name: str, version: int) -> None:
        """Delete a version no bundle ever named."""
        await self._policies.discard(tenant, name, version)

    # Reading ---------------------------------------------------------------------------------------------------------

    async def listed(self, tenant: str) -> Sequence[PolicyState]:
        """Every policy with its newest version and the one in force; the shipped ones last."""
        active = {ref.name: ref.version for ref in await self._in_force(tenant)}
        retired = await self._policies.retired(tenant)
        own = [
            _state(each, active.get(each.name), each.name in retired)
            for each in await self._policies.newest(tenant)
        ]
        return [*own, *(_state(each, each.version, retired=False) for each in shipped_versions())]

    async def versions(self, tenant: str, name: str) -> Sequence[PolicyVersion]:
        """All versions of a policy, oldest first."""
        found = await self._policies.versions(tenant, name)
        found = found or [each for each in shipped_versions() if each.name == name]
        if not found:
            raise NotFound(f"There is no policy {name}.", policy=name)
        return found

    async def read(self, tenant: str, name: str, version: int | None = None) -> PolicyVersion:
        """One version, or the newest."""
        found = await self.versions(tenant, name)
        chosen = (
            found[-1] if version is None else next((each for each in found if each.version == version), None)
        )
        if chosen is None:
            raise NotFound(f"There is no policy {name}@{version}.", policy=name, version=version)
        return chosen

    async def diff(self, tenant: str, name: str, before: int, after: int) -> PolicyDiff:
        """What two versions say differently, their templates and parents filled in."""
        return differences.of_versions(
            await self.read(tenant, name, before), await self.read(tenant, name, after)
        )

    async def diff_bundles(self, tenant: str, before: Digest | None, after: Digest | None) -> BundleDiff:
        """What two bundles say differently. One alone is compared with what is in force; none: what is in force with what
        activating the newest of all would put in force."""
        if before or after:
            old, new = await self._bundle(tenant, before), await self._bundle(tenant, after)
        else:
            head = await self._policies.head(tenant)
            old = await self._bundle(tenant, head.digest)
            new = await self._composed(tenant, ActivationRequest(), head)
        return await asyncio.to_thread(differences.of_bundles, old, new)

    def templates(self) -> Sequence[PolicyTemplate]:
        return tuple(shipped_templates().values())

    # Putting in force ------------------------------------------------------------------------------------------------

    async def activate(self, tenant: str, request: ActivationRequest, *, by: str) -> Activation:
        head = await self._policies.head(tenant)
        bundle = await self._composed(tenant, request, head)
        return await self._policies.activate(tenant, bundle, by=by, note=request.note, expected=head)

    async def rollback(self, tenant: str, request: RollbackRequest, *, by: str) -> Activation:
        history = await self._policies.activations(tenant, limit=10_000)
        digest = _earlier(history, request.to)
        note = request.note or (f"back to {request.to}" if request.to else "back to the one before")
        if digest is None:
            return await self._policies.activate(tenant, shipped_bundle(), by=by, note=note)
        return await self._policies.reactivate(tenant, digest, by=by, note=note)

    async def activations(self, tenant: str) -> Sequence[Activation]:
        """Every move of the pointer, newest first."""
        return await self._policies.activations(tenant)

    async def active(self, tenant: str) -> Bundle:
        return await self._bundle(tenant, None)

    # Trying out ------------------------------------------------------------------------------------------------------

    async def trial(self, tenant: str, request: TrialRequest) -> Explanation:
        """What would be decided on an action, and what every rule makes of it."""
        bundle = await self.active(tenant)
        if request.draft:
            bundle = _with(bundle, [await self._drafted(tenant, request.draft)])
        book, asked = await _compiled(bundle), request_of(request.action, tenant=tenant)
        guardian = PolicyGuardian(policies=FixedPolicies(book), opinions=NoOpinions())
        record = await guardian.judge(asked)
        view, _ = read_action(asked)
        return explain(book, view, record, datetime.now(UTC))

    async def backtest(self, tenant: str, request: BacktestRequest) -> BacktestReport:
        """Decide what is on record again, by the active bundle and by the one that would be activated."""
        trial = await self._composed(tenant, request, await self._policies.head(tenant))
        trial = _with(trial, [await self._drafted(tenant, draft) for draft in request.drafts])
        active, draft = await _compiled(await self.active(tenant)), await _compiled(trial)
        test = Backtest(active=active, draft=draft, now=datetime.now(UTC))
        batch: list[Recorded | None] = []
        async for recorded in self._records.recorded(tenant, days=request.days, limit=request.limit):
            batch.append(recorded)
            if len(batch) == _BATCH:
                await asyncio.to_thread(_add, test, batch)
                batch = []
        await asyncio.to_thread(_add, test, batch)
        return test.report()

    async def experiment(self, tenant: str, name: str, *, days: float = 30) -> ExperimentReport:
        """How the version in force of a policy in rollout `ab` does, against the runs where it only watches."""
        active = {ref.name: ref.version for ref in await self._in_force(tenant)}
        policy = await self.read(tenant, name, active.get(name))
        return experiments.report(policy, await self._records.tallies(tenant, name, days=days))

    # -----------------------------------------------------------------------------------------------------------------

    async def _bundle(self, tenant: str, digest: Digest | None) -> Bundle:
        """The bundle of this digest; None is the one in force. What ships need not have been activated to be known."""
        digest = digest or (await self._policies.head(tenant)).digest
        if digest in (None, shipped_bundle().digest):
            return shipped_bundle()
        return await self._policies.bundle(tenant, digest)

    async def _in_force(self, tenant: str) -> Sequence[PolicyRef]:
        return await self._policies.in_force(tenant, (await self._policies.head(tenant)).digest)

    async def _composed(self, tenant: str, request: ActivationRequest, head: Head) -> Bundle:
        retired = await self._policies.retired(tenant)
        newest = [
            PolicyRef(name=each.name, version=each.version)
            for each in await self._policies.newest(tenant)
            if each.name not in retired
        ]
        refs = wanted(request, await self._policies.in_force(tenant, head.digest), newest)
        return await asyncio.to_thread(composed, await self._policies.named(tenant, refs))

    async def _admit(
        self, tenant: str, draft: PolicyDraft, *, version: int, author: str, only_check: bool
    ) -> PolicyVersion:
        admitted = await asyncio.to_thread(
            admit,
            draft.document,
            version=version,
            parent=await self._parent(tenant, draft.document),
            author=author,
            change_note=draft.change_note,
        )
        return admitted if only_check else await self._policies.add(tenant, admitted)

    async def _drafted(self, tenant: str, document: PolicyDocument) -> PolicyVersion:
        """A document as the version it would become."""
        known = await self._policies.versions(tenant, document.name)
        version = known[-1].version + 1 if known else 1
        return drafted(document, version=version, parent=await self._parent(tenant, document)).version

    async def _parent(self, tenant: str, document: PolicyDocument) -> PolicyVersion | None:
        if document.extends is None:
            return None
        try:
            return await self.read(tenant, document.extends.name, document.extends.version)
        except NotFound as error:
            raise Unprocessable(
                f"The policy {document.name} extends what there is not. {error.message}",
                remedy="Name a version that is stored: `holdfast policies history NAME` lists them.",
            ) from error


async def _compiled(bundle: Bundle) -> RuleBook:
    """Aside, since many rules take a while and others have requests too."""
    return await asyncio.to_thread(RuleBook, bundle)


def _with(bundle: Bundle, drafts: Sequence[PolicyVersion]) -> Bundle:
    names = {draft.name for draft in drafts}
    kept = [policy for policy in bundle.policies if policy.name not in names]
    return bundle.model_copy(update={"policies": (*kept, *drafts)})


def _add(test: Backtest, batch: Iterable[Recorded | None]) -> None:
    for recorded in batch:
        if recorded is None:
            test.skip()
        else:
            test.add(recorded)


def _earlier(history: Sequence[Activation], number: int | None) -> str | None:
    """The digest to go back to; None is the shipped bundle, which was in force before the first activation."""
    if number is None:
        newest = next(islice(history, 1), None)
        if newest is None:
            raise Conflict("Nothing was ever activated, so there is nothing to go back to.")
        return newest.previous
    chosen = next((each for each in history if each.number == number), None)
    if chosen is None:
        raise NotFound(f"There is no activation {number}.", remedy="See `holdfast policies history`.")
    return chosen.digest


def _state(version: PolicyVersion, active: int | None, retired: bool) -> PolicyState:  # noqa: FBT001 -- a field
    document = version.resolved
    assert document.effect is not None  # noqa: S101 -- admission refuses a version without one
    return PolicyState(
        name=version.name,
        newest=version.version,
        active=active,
        retired=retired,
        shipped=version.shipped,
        effect=document.effect,
        locked=document.locked,
        priority=document.priority,
        description=document.description,
    )
