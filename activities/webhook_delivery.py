"""Sending one message to one webhook."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.webhooks import Deliveries, DeliveryFailed
from schemas.webhooks import DeliveryRef


class WebhookActivities:
    def __init__(self, *, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    @activity.defn
    async def deliver(self, ref: DeliveryRef) -> None:
        """Safe to repeat: the message keeps its id, by which a receiver knows it again."""
        try:
            await self._deliveries.send(ref)
        except DeliveryFailed as error:
            raise ApplicationError(
                error.message, type=error.code, non_retryable=not error.retryable
            ) from error

    @activity.defn
    async def bury(self, ref: DeliveryRef, why: str) -> None:
        """Safe to repeat: what is dead stays dead."""
        await self._deliveries.bury(ref, why)
