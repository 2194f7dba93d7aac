"""Panels over HTTP: ask several models, read what they said, see how they agree."""

from collections.abc import AsyncIterator

from holdfast.client.wire import Wire
from schemas.panels import Consensus, ConsensusRequest, PanelAnalytics, PanelResult


class PanelsClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def ask(self, request: ConsensusRequest, *, wait: float = 0, key: str | None = None) -> Consensus:
        """Put a question to a panel. It carries a key, so an answer that was lost on the way asks nobody twice."""
        body = request.model_dump(mode="json", exclude_unset=True)
        response = await self._wire.post(
            "/v1/consensus", body, query={"wait": wait or None}, key=key, patience_s=wait
        )
        return Consensus.model_validate_json(response.content)

    async def read(self, consensus_id: str) -> Consensus:
        """By the id of its run, or of one panel."""
        response = await self._wire.ask("GET", f"/v1/consensus/{consensus_id}")
        return Consensus.model_validate_json(response.content)

    async def all(self, *, run_id: str | None = None) -> AsyncIterator[PanelResult]:
        """What panels said, newest first."""
        async for result in self._wire.items("/v1/consensus", PanelResult, query={"run_id": run_id}):
            yield result

    async def analytics(self, *, days: int = 90) -> PanelAnalytics:
        response = await self._wire.ask("GET", "/v1/consensus/analytics", query={"days": days})
        return PanelAnalytics.model_validate_json(response.content)
