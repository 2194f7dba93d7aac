"""Questions to humans: asked, read back, given up. Only what the store holds counts as an answer."""

from temporalio import activity

from holdfast.ports import Approvals, Ledger
from schemas.approvals import Approval
from schemas.stages import AskRequest, DoubtRequest, ReadApprovalRequest, ResolveRequest


class AskActivities:
    def __init__(self, *, approvals: Approvals, ledger: Ledger) -> None:
        self._approvals = approvals
        self._ledger = ledger

    @activity.defn
    async def ask(self, request: AskRequest) -> Approval:
        """Safe to repeat: the id follows from the digest, and a question that stands is not asked again."""
        return await self._approvals.ask(request)

    @activity.defn
    async def read_approval(self, request: ReadApprovalRequest) -> Approval:
        return await self._approvals.read(request.scope.tenant, request.id)

    @activity.defn
    async def expire_approval(self, request: ReadApprovalRequest) -> Approval:
        """Safe to repeat: what is decided stays decided."""
        return await self._approvals.expire(request.scope.tenant, request.id)

    @activity.defn
    async def withdraw_approval(self, request: ReadApprovalRequest) -> None:
        """Safe to repeat: what is decided stays decided, and an event of the same key is told once."""
        await self._approvals.withdraw(request.scope, request.id)

    @activity.defn
    async def doubt(self, request: DoubtRequest) -> None:
        """Safe to repeat: an event of the same key is told, and audited, once."""
        await self._approvals.doubt(request)

    @activity.defn
    async def resolve(self, request: ResolveRequest) -> None:
        """Safe to repeat: an effect is resolved once."""
        await self._ledger.resolve(request)
