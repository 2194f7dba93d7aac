"""Models over HTTP: which there are, what they cost, how they fare, and why a call went where it went."""

from collections.abc import Sequence
from typing import Literal

from holdfast.client.wire import Wire
from schemas.models import ArmReport, Breaker, DeploymentView, Price, PriceView, RouteView, TrackRecord
from schemas.spend import SpendLimit, SpendView


class ModelsClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def all(self) -> Sequence[DeploymentView]:
        return await self._wire.whole("/v1/models", DeploymentView)

    async def routes(self) -> Sequence[RouteView]:
        return await self._wire.whole("/v1/models/routes", RouteView)

    async def prices(self) -> Sequence[PriceView]:
        """Those that were set while running."""
        return await self._wire.whole("/v1/models/prices", PriceView)

    async def set_price(self, model: str, price: Price) -> PriceView:
        body = {"model": model, **price.model_dump(mode="json")}
        return PriceView.model_validate_json(
            (await self._wire.ask("PUT", "/v1/models/prices", body=body)).content
        )

    async def retry(self, deployment: str) -> Breaker:
        """Let a deployment be called again at once."""
        response = await self._wire.post(f"/v1/models/breakers/{deployment}/retry", {})
        return Breaker.model_validate_json(response.content)

    async def records(self) -> Sequence[TrackRecord]:
        return await self._wire.whole("/v1/models/records", TrackRecord)

    async def experiment(self, name: str) -> Sequence[ArmReport]:
        return await self._wire.whole(f"/v1/models/experiments/{name}", ArmReport)

    async def spend(self, *, scope: str | None = None, subject: str | None = None) -> Sequence[SpendView]:
        query = {"scope": scope, "subject": subject}
        return await self._wire.whole("/v1/models/spend", SpendView, query=query)

    async def limit_agent(
        self, agent: str, usd: float, *, period: Literal["day", "total"] = "day"
    ) -> SpendLimit:
        body = {"agent": agent, "period": period, "limit_usd": usd}
        return SpendLimit.model_validate_json(
            (await self._wire.ask("PUT", "/v1/models/limits", body=body)).content
        )
