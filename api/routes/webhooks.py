"""Webhooks: tell others of events, signed as the Standard Webhooks specification has it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.cursors import Cursor, Limit, page_by_time, position
from api.problems import documented
from api.services import Caller, Held
from holdfast.errors import Forbidden
from schemas.pages import Items, Page
from schemas.webhooks import Delivery, DeliveryStatus, NewWebhook, Webhook, WebhookDraft

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

WebhookPath = Annotated[str, Path(pattern=r"^whk_[0-9a-z]{20,40}$", description="The id of the webhook.")]
DeliveryPath = Annotated[str, Path(pattern=r"^msg_[0-9a-f]{32}$", description="The id of the message.")]


@router.post("", status_code=201, responses=documented(409, 413, 415))
async def create_webhook(draft: WebhookDraft, response: Response, held: Held, caller: Caller) -> NewWebhook:
    """Hear of events at an address of yours. The secret that signs them is in this answer only."""
    if caller.environments is not None and not set(draft.environments or ("*",)) <= set(caller.environments):
        raise Forbidden(f"{caller.id} may only hear of {', '.join(caller.environments)}.")
    webhook = await held.webhooks.create(caller.tenant, draft, created_by=caller.id)
    response.headers["X-Shown-Once"] = "true"
    return webhook


@router.get("", responses=documented())
async def list_webhooks(held: Held, caller: Caller) -> Items[Webhook]:
    """The webhooks of the tenant."""
    return Items(items=await held.webhooks.all(caller.tenant))


@router.delete("/{webhook_id}", status_code=204, responses=documented(404))
async def remove_webhook(webhook_id: WebhookPath, held: Held, caller: Caller) -> None:
    """Stop telling; messages not delivered yet are dropped."""
    await held.webhooks.remove(caller.tenant, webhook_id)


@router.get("/{webhook_id}", responses=documented(404))
async def read_webhook(webhook_id: WebhookPath, held: Held, caller: Caller) -> Webhook:
    """One webhook, without its secret."""
    return await held.webhooks.read(caller.tenant, webhook_id)


@router.get("/{webhook_id}/deliveries", responses=documented(404))
async def list_deliveries(
    webhook_id: WebhookPath,
    held: Held,
    caller: Caller,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[DeliveryStatus | None, Query()] = None,
) -> Page[Delivery]:
    """Messages and what became of them; `dead` are those nobody took."""
    webhook = await held.webhooks.read(caller.tenant, webhook_id)
    found = await held.webhooks.deliveries(
        caller.tenant, webhook.id, status=status, after=position(cursor), limit=limit + 1
    )
    items, following = page_by_time(found, limit)
    return Page(items=items, next=following)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/retry", status_code=202, responses=documented(404, 409, 413, 415)
)
async def retry_delivery(
    webhook_id: WebhookPath, delivery_id: DeliveryPath, held: Held, caller: Caller
) -> Response:
    """Try a dead message anew."""
    await held.webhooks.retry(caller.tenant, webhook_id, delivery_id)
    return Response(status_code=202)
