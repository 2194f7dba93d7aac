"""Webhooks: who wants to hear of which events, and what became of each message."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.base import Name, Payload, Request

EventPattern = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z]+\.(\*|[a-z_]+))$")]
"""A type of event, all of a family (`run.*`), or all (`*`)."""


class WebhookDraft(Request):
    """Who wants to hear of what. A change says all of it anew."""

    url: str = Field(max_length=2000, pattern=r"^https?://", examples=["https://hooks.example.com/holdfast"])
    events: tuple[EventPattern, ...] = Field(default=("run.ended", "approval.*"), min_length=1, max_length=50)
    environments: tuple[Name, ...] | None = Field(default=None, max_length=50)
    description: str = Field(default="", max_length=500)
    paused: bool = Field(default=False, description="Queue nothing for it until this is taken back.")


class SecretRotation(Request):
    """How long messages are signed with the old secret beside the new one."""

    overlap_s: float = Field(default=86_400, ge=0, le=86_400 * 30)


class Webhook(Payload):
    id: str
    tenant: Name
    url: str
    events: tuple[str, ...]
    environments: tuple[str, ...] | None = None
    description: str = ""
    paused: bool = False
    version: int = Field(default=1, description="Grows with every change; its ETag.")
    created_by: str = ""
    created_at: datetime
    old_secret_until: datetime | None = Field(
        default=None, description="Until then, messages carry a signature by the secret before as well."
    )


class NewWebhook(Webhook):
    """A webhook at the one moment its signing secret is shown."""

    secret: str


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Delivery(Payload):
    """One message to one webhook."""

    id: str
    webhook_id: str
    run_id: str
    seq: int
    type: str
    status: DeliveryStatus
    attempts: int = 0
    last_error: str = ""
    created_at: datetime
    done_at: datetime | None = None


class DeliveryRef(Payload):
    """The argument of a delivery's workflow."""

    tenant: Name
    id: str
