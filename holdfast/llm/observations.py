"""What steps brought, as a prompt can hold it. What was too large for history is read whole, once, and summarised for the
goal; what is merely too much for one prompt is summarised where that saves room, and trimmed where no model helps."""

from collections.abc import Mapping
from typing import Protocol

from holdfast.errors import HoldfastError
from holdfast.llm.assembly import OBSERVATION_TOKENS, observation_text
from holdfast.llm.summaries import Summariser
from holdfast.llm.tokens import estimate_tokens
from holdfast.llm.trimming import trimmed
from schemas.base import Digest
from schemas.canonical import digest_of
from schemas.runs import StepOutcome
from schemas.stages import RunScope

SUMMARY_TOKENS = 800
_WORTH_IT = 2 * SUMMARY_TOKENS
_MOST_READ = 72_000


class Whole(Protocol):
    """Where outputs are kept that were too large for history."""

    async def get(self, tenant: str, digest: Digest) -> bytes: ...


class SummaryShelf(Protocol):
    """Summaries that were paid for."""

    async def read(self, tenant: str, key: Digest) -> str | None: ...
    async def keep(self, scope: RunScope, key: Digest, summary: str) -> None: ...


class Observations:
    def __init__(self, *, summariser: Summariser, artifacts: Whole, shelf: SummaryShelf) -> None:
        self._summariser = summariser
        self._artifacts = artifacts
        self._shelf = shelf

    async def fitted(
        self, scope: RunScope, goal: str, outcomes: Mapping[str, StepOutcome]
    ) -> tuple[dict[str, StepOutcome], float]:
        """The same outcomes with summaries in place of what is too long, and what those cost now."""
        sizes = {name: estimate_tokens(observation_text(outcome)) for name, outcome in outcomes.items()}
        crowded = sum(sizes.values()) > OBSERVATION_TOKENS
        fitted, spent = dict(outcomes), 0.0
        for name, outcome in outcomes.items():
            if outcome.artifact or (crowded and sizes[name] > _WORTH_IT):
                fitted[name], cost = await self._short(scope, goal, outcome)
                spent += cost
        return fitted, spent

    async def _short(self, scope: RunScope, goal: str, outcome: StepOutcome) -> tuple[StepOutcome, float]:
        """A run goes on without a summary: the prompt then shows the beginning and the end of what history holds."""
        try:
            text = await self._whole(scope, outcome)
            summary, cost = await self._summary(scope, goal, text)
        except HoldfastError:
            return outcome, 0.0
        told = f"{outcome.summary}\nSummary of the whole output, written by a model:\n{summary}".strip()
        return outcome.model_copy(update={"output": {}, "summary": told}), cost

    async def _whole(self, scope: RunScope, outcome: StepOutcome) -> str:
        if outcome.artifact is None:
            return observation_text(outcome)
        data = await self._artifacts.get(scope.tenant, outcome.artifact.digest)
        return data.decode("utf-8", errors="replace")

    async def _summary(self, scope: RunScope, goal: str, text: str) -> tuple[str, float]:
        key = digest_of({"text": text, "goal": goal, "tokens": SUMMARY_TOKENS})
        if known := await self._shelf.read(scope.tenant, key):
            return known, 0.0
        summary, cost = await self._summariser.fit(
            scope, goal, trimmed(text, _MOST_READ), tokens=SUMMARY_TOKENS
        )
        await self._shelf.keep(scope, key, summary)
        return summary, cost
