"""Webhooks: who wants to hear of which events, and what became of each message."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.base import Name, Payload, Request

EventPattern = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z]+\.(\*|[a-z_]+))$")]
"""A type of event, all of a family (`run.*`), or all (`*`)."""


class WebhookDraft(Request):
    url: str = Field(max_length=2000, pattern=r"^https?://", examples=["https://hooks.example.com/holdfast"])
    events: tuple[EventPattern, ...] = Field(default=("run.ended", "approval.*"), min_length=1, max_length=50)
    environments: tuple[Name, ...] | None = Field(default=None, max_length=50)
    description: str = Field(default="", max_length=500)


class Webhook(Payload):
    id: str
    tenant: Name
    url: str
    events: tuple[str, ...]
    environments: tuple[str, ...] | None = None
    description: str = ""
    paused: bool = False
    created_by: str = ""
    created_at: datetime


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
