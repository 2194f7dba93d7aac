"""Webhooks: tell others of events, signed as the Standard Webhooks specification has it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.cursors import Cursor, Limit, page_by_time, position
from api.editing import IfMatch, refuse_stale, tag
from api.problems import documented
from api.services import Caller, Held, Services
from holdfast.errors import Forbidden, NotFound
from schemas.access import Principal
from schemas.pages import Items, Page
from schemas.webhooks import Delivery, DeliveryStatus, NewWebhook, SecretRotation, Webhook, WebhookDraft

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

WebhookPath = Annotated[str, Path(pattern=r"^whk_[0-9a-z]{20,40}$", description="The id of the webhook.")]
DeliveryPath = Annotated[str, Path(pattern=r"^msg_[0-9a-f]{32}$", description="The id of the message.")]


@router.post("", status_code=201, responses=documented(409, 413, 415))
async def create_webhook(draft: WebhookDraft, response: Response, held: Held, caller: Caller) -> NewWebhook:
    """Hear of events at an address of yours. The secret that signs them is in this answer only."""
    _refuse_to_hear_more(caller, draft.environments)
    webhook = await held.webhooks.create(caller.tenant, draft, created_by=caller.id)
    response.headers["Location"] = f"/v1/webhooks/{webhook.id}"
    response.headers["X-Shown-Once"] = "true"
    return webhook


@router.get("", responses=documented())
async def list_webhooks(held: Held, caller: Caller) -> Items[Webhook]:
    """The webhooks of the tenant, newest first."""
    found = await held.webhooks.all(caller.tenant)
    return Items(items=[webhook for webhook in found if _hears_no_more(caller, webhook.environments)])


@router.get("/{webhook_id}", responses=documented(404))
async def read_webhook(webhook_id: WebhookPath, response: Response, held: Held, caller: Caller) -> Webhook:
    """One webhook, without its secret."""
    return tag(await _own(held, caller, webhook_id), response)


@router.put("/{webhook_id}", responses=documented(404, 412, 413, 415))
async def change_webhook(
    webhook_id: WebhookPath,
    draft: WebhookDraft,
    response: Response,
    held: Held,
    caller: Caller,
    if_match: IfMatch = None,
) -> Webhook:
    """Change what it hears of and where, or pause it; with If-Match only if nobody did in the meantime."""
    standing = await _own(held, caller, webhook_id)
    refuse_stale(standing.version, if_match, what=f"Webhook {webhook_id}")
    _refuse_to_hear_more(caller, draft.environments)
    changed = await held.webhooks.change(caller.tenant, webhook_id, draft, version=standing.version)
    return tag(changed, response)


@router.delete("/{webhook_id}", status_code=204, responses=documented(404))
async def remove_webhook(webhook_id: WebhookPath, held: Held, caller: Caller) -> None:
    """Stop telling; messages not delivered yet are dropped."""
    await _own(held, caller, webhook_id)
    await held.webhooks.remove(caller.tenant, webhook_id)


@router.post(
    "/{webhook_id}/rotate",
    name="rotate_webhook_secret",
    status_code=201,
    responses=documented(404, 409, 413, 415),
)
async def rotate_secret(
    webhook_id: WebhookPath, request: SecretRotation, response: Response, held: Held, caller: Caller
) -> NewWebhook:
    """A new signing secret, in this answer only. Until the overlap is over, messages carry both signatures."""
    await _own(held, caller, webhook_id)
    webhook = await held.webhooks.rotate(caller.tenant, webhook_id, overlap_s=request.overlap_s)
    response.headers["X-Shown-Once"] = "true"
    return webhook


@router.get("/{webhook_id}/deliveries", responses=documented(404))
async def list_deliveries(
    webhook_id: WebhookPath,
    held: Held,
    caller: Caller,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[DeliveryStatus | None, Query(description="What became of them.")] = None,
) -> Page[Delivery]:
    """Messages and what became of them; `dead` are those nobody took."""
    webhook = await _own(held, caller, webhook_id)
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
) -> Delivery:
    """Try a dead message anew."""
    await _own(held, caller, webhook_id)
    await held.webhooks.retry(caller.tenant, webhook_id, delivery_id)
    return await held.webhooks.delivery(caller.tenant, webhook_id, delivery_id)


async def _own(held: Services, caller: Principal, webhook_id: str) -> Webhook:
    """The webhook, if it hears of nothing that the caller may not see."""
    webhook = await held.webhooks.read(caller.tenant, webhook_id)
    if not _hears_no_more(caller, webhook.environments):
        raise NotFound(f"There is no webhook {webhook_id}.", remedy="GET /v1/webhooks lists them.")
    return webhook


def _hears_no_more(caller: Principal, environments: tuple[str, ...] | None) -> bool:
    return caller.environments is None or set(environments or ("*",)) <= set(caller.environments)


def _refuse_to_hear_more(caller: Principal, environments: tuple[str, ...] | None) -> None:
    if not _hears_no_more(caller, environments):
        raise Forbidden(
            f"{caller.id} may only hear of {', '.join(caller.environments or ())}.",
            remedy="Name these as its `environments`.",
        )
