"""What the model layer needs of the world: models, the spend ledger, the shared breakers."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from schemas.chat import ChatReply, ChatRequest, EmbedReply, TaskClass
from schemas.models import Breaker, Deployment, ModelRoutes, TrackRecord
from schemas.routing import Errand
from schemas.spend import CallOutcome, SpendClaim

OnText = Callable[[str], Awaitable[None]]
"""Receives each piece of text as the model writes it."""


class TextSink(Protocol):
    """Receives an answer while it is written."""

    async def text(self, piece: str) -> None: ...

    async def restart(self) -> None:
        """What came so far is void: another deployment answers from the start."""
        ...


class ModelProvider(Protocol):
    """Speaks to models. One call is one request on the wire: it never retries.

    Raises only what `holdfast.llm.failures` lists. Cancelling the caller closes the connection.
    """

    async def chat(
        self, deployment: Deployment, request: ChatRequest, *, on_text: OnText | None = None
    ) -> ChatReply: ...

    async def embed(
        self, deployment: Deployment, texts: Sequence[str], *, timeout_s: float
    ) -> EmbedReply: ...


class SpendLedger(Protocol):
    """Money is claimed before a call and settled after it."""

    async def reserve(self, claim: SpendClaim) -> None:
        """Raises BudgetExhausted where a limit would be passed; repeating a claim changes nothing."""
        ...

    async def settle(self, tenant: str, call_id: str, outcome: CallOutcome) -> None: ...

    async def grade(self, tenant: str, call_id: str, *, useful: bool) -> None:
        """Whether the answer could be used: statistics learn from it."""
        ...

    async def track_records(self, tenant: str, task: TaskClass) -> Sequence[TrackRecord]: ...


class StartingRoutes(Protocol):
    """What runs began with."""

    async def of_run(self, tenant: str, run_id: str) -> ModelRoutes | None:
        """None where the run began before any model was configured."""
        ...


class Pacer(Protocol):
    """Keeps calls under the limits that providers, or we ourselves, set for all workers together."""

    async def wait(self, deployment: Deployment) -> None:
        """Until a call may go out. Raises ModelTurnMissed where that would take too long."""
        ...


class Breakers(Protocol):
    """The health of the deployments, as all workers know it."""

    async def read(self) -> tuple[datetime, Sequence[Breaker]]:
        """The time of the shared clock, and every breaker that was ever touched."""
        ...

    async def enter(self, deployment: str) -> bool:
        """Whether a call may go out. In half-open state one caller gets leave to probe."""
        ...

    async def report(
        self, deployment: str, *, failure: str | None, retry_after_s: float | None = None
    ) -> None: ...

    async def release(self, deployment: str) -> None:
        """A call that was let in came to no end that says anything: a probe's place is free again."""
        ...


class Model(Protocol):
    """A model, as planner, judge, panels and lessons use it: routed, budgeted, and falling back."""

    async def chat(
        self, errand: Errand, request: ChatRequest, *, sink: TextSink | None = None
    ) -> ChatReply: ...

    async def grade(self, errand: Errand, reply: ChatReply, *, useful: bool) -> None: ...

    async def embed(self, errand: Errand, texts: Sequence[str]) -> EmbedReply: ...
