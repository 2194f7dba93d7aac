"""Policies and freezes over HTTP."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from holdfast.client.wire import Wire
from schemas.base import Digest
from schemas.brakes import Freeze, FreezeDraft, FreezeFilter
from schemas.pages import Items
from schemas.policies import PolicyTemplate, PolicyVersion
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

_BACKTEST_PATIENCE_S = 600


class PoliciesClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def all(self) -> Sequence[PolicyState]:
        return Items[PolicyState].model_validate_json(await self._read("/v1/policies")).items

    async def read(self, name: str, version: int | None = None) -> PolicyVersion:
        place = f"/v1/policies/{name}" + (f"/versions/{version}" if version else "")
        return PolicyVersion.model_validate_json(await self._read(place))

    async def versions(self, name: str) -> Sequence[PolicyVersion]:
        content = await self._read(f"/v1/policies/{name}/versions")
        return Items[PolicyVersion].model_validate_json(content).items

    async def create(self, draft: PolicyDraft, *, only_check: bool = False) -> PolicyVersion:
        answer = await self._wire.post("/v1/policies", _body(draft), query=_checking(only_check=only_check))
        return PolicyVersion.model_validate_json(answer.content)

    async def update(self, draft: PolicyDraft, *, only_check: bool = False) -> PolicyVersion:
        """A new version of the policy the document names."""
        place, query = f"/v1/policies/{draft.document.name}", _checking(only_check=only_check)
        return PolicyVersion.model_validate_json(
            (await self._wire.ask("PUT", place, query=query, body=_body(draft))).content
        )

    async def retire(self, name: str) -> None:
        await self._wire.ask("DELETE", f"/v1/policies/{name}")

    async def discard(self, name: str, version: int) -> None:
        await self._wire.ask("DELETE", f"/v1/policies/{name}/versions/{version}")

    async def diff(self, name: str, before: int, after: int) -> PolicyDiff:
        query = {"before": before, "after": after}
        return PolicyDiff.model_validate_json(await self._read(f"/v1/policies/{name}/diff", query))

    async def experiment(self, name: str, *, days: float = 30) -> ExperimentReport:
        content = await self._read(f"/v1/policies/{name}/experiment", {"days": days})
        return ExperimentReport.model_validate_json(content)

    async def templates(self) -> Sequence[PolicyTemplate]:
        return Items[PolicyTemplate].model_validate_json(await self._read("/v1/policy-templates")).items

    async def activations(self) -> Sequence[Activation]:
        return Items[Activation].model_validate_json(await self._read("/v1/policy-bundles")).items

    async def diff_bundles(self, *, before: Digest | None = None, after: Digest | None = None) -> BundleDiff:
        """One alone is compared with what is in force; none: what is in force with what an activation would make of it."""
        query = {name: digest for name, digest in (("before", before), ("after", after)) if digest}
        return BundleDiff.model_validate_json(await self._read("/v1/policy-bundles/diff", query))

    async def activate(self, request: ActivationRequest) -> Activation:
        return Activation.model_validate_json(await self._post("/v1/policy-bundles/activate", request))

    async def rollback(self, request: RollbackRequest) -> Activation:
        return Activation.model_validate_json(await self._post("/v1/policy-bundles/rollback", request))

    async def trial(self, request: TrialRequest) -> Explanation:
        return Explanation.model_validate_json(await self._post("/v1/policy-trials", request))

    async def backtest(self, request: BacktestRequest) -> BacktestReport:
        content = await self._post("/v1/policy-backtests", request, patience_s=_BACKTEST_PATIENCE_S)
        return BacktestReport.model_validate_json(content)

    async def freezes(self, *, thawed: bool = False) -> Sequence[Freeze]:
        return Items[Freeze].model_validate_json(await self._read("/v1/freezes", {"thawed": thawed})).items

    async def freeze(self, draft: FreezeDraft) -> Freeze:
        return Freeze.model_validate_json(await self._post("/v1/freezes", draft))

    async def thaw(self, which: FreezeFilter) -> Sequence[Freeze]:
        return Items[Freeze].model_validate_json(await self._post("/v1/freezes/thaw", which)).items

    async def _read(self, path: str, query: dict[str, Any] | None = None) -> bytes:
        return (await self._wire.ask("GET", path, query=query)).content

    async def _post(self, path: str, request: BaseModel, *, patience_s: float = 0) -> bytes:
        return (await self._wire.post(path, _body(request), patience_s=patience_s)).content


def _checking(*, only_check: bool) -> dict[str, bool] | None:
    return {"only_check": True} if only_check else None


def _body(request: BaseModel) -> dict[str, Any]:
    """Only what was said: a policy keeps what its author wrote, not this version's defaults."""
    body: dict[str, Any] = request.model_dump(mode="json", exclude_unset=True)
    return body
