"""Webhooks over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.client.wire import Wire
from schemas.pages import Items, Page
from schemas.webhooks import Delivery, NewWebhook, Webhook, WebhookDraft


class WebhooksClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def all(self) -> Sequence[Webhook]:
        response = await self._wire.ask("GET", "/v1/webhooks")
        return Items[Webhook].model_validate_json(response.content).items

    async def create(self, draft: WebhookDraft) -> NewWebhook:
        """With the secret that signs its messages, which is not told again."""
        body = draft.model_dump(mode="json", exclude_none=True)
        return NewWebhook.model_validate_json((await self._wire.post("/v1/webhooks", body)).content)

    async def read(self, webhook_id: str) -> Webhook:
        response = await self._wire.ask("GET", f"/v1/webhooks/{webhook_id}")
        return Webhook.model_validate_json(response.content)

    async def change(self, webhook_id: str, changes: Mapping[str, Any]) -> Webhook:
        """The webhook with these fields of its draft changed; refused where somebody changes it at the same time."""
        standing = await self._wire.ask("GET", f"/v1/webhooks/{webhook_id}")
        kept = {key: value for key, value in standing.json().items() if key in WebhookDraft.model_fields}
        response = await self._wire.ask(
            "PUT",
            f"/v1/webhooks/{webhook_id}",
            body={**kept, **changes},
            headers={"If-Match": standing.headers["ETag"]},
        )
        return Webhook.model_validate_json(response.content)

    async def rotate(self, webhook_id: str, *, overlap_s: float) -> NewWebhook:
        response = await self._wire.post(f"/v1/webhooks/{webhook_id}/rotate", {"overlap_s": overlap_s})
        return NewWebhook.model_validate_json(response.content)

    async def remove(self, webhook_id: str) -> None:
        await self._wire.ask("DELETE", f"/v1/webhooks/{webhook_id}")

    async def deliveries(
        self, webhook_id: str, *, status: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Delivery]:
        query = {"status": status, "cursor": cursor, "limit": limit}
        response = await self._wire.ask("GET", f"/v1/webhooks/{webhook_id}/deliveries", query=query)
        return Page[Delivery].model_validate_json(response.content)

    async def retry(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Try a dead message anew."""
        path = f"/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/retry"
        return Delivery.model_validate_json((await self._wire.post(path, {})).content)
