"""What a model is writing, shown to whoever follows the run now. A preview: it is stored nowhere, and nothing waits for it."""

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.feed import tell_delta
from holdfast.llm.planner import Written
from schemas.plans import Step
from schemas.stages import RunScope

_TOGETHER = 120


class ShownWriting:
    """Fulfils `holdfast.llm.planner.PlanListener`. Text goes out in pieces of a line or so, not token by token."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._pending: dict[str, str] = {}

    async def text(self, scope: RunScope, piece: str, *, task: Written) -> None:
        pending = self._pending.get(scope.run_id, "") + piece
        if len(pending) < _TOGETHER:
            self._pending[scope.run_id] = pending
            return
        self._pending.pop(scope.run_id, None)
        await self._tell(scope, {"task": task, "text": pending})

    async def step(self, scope: RunScope, step: Step) -> None:
        shown = {"kind": step.kind, **step.model_dump(mode="json", exclude_defaults=True)}
        await self._tell(scope, {"step": shown})

    async def restart(self, scope: RunScope, *, task: Written) -> None:
        self._pending.pop(scope.run_id, None)
        await self._tell(scope, {"task": task, "restart": True})

    async def ended(self, scope: RunScope, *, task: Written) -> None:
        if pending := self._pending.pop(scope.run_id, ""):
            await self._tell(scope, {"task": task, "text": pending})

    async def _tell(self, scope: RunScope, data: dict[str, object]) -> None:
        await tell_delta(self._database, tenant=scope.tenant, run_id=scope.run_id, data=data)
