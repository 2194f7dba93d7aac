"""WebhookDelivery: one message, tried for most of a day, then kept as dead for a person to look at."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.webhook_delivery import WebhookActivities
    from schemas.webhooks import DeliveryRef

ATTEMPTS = RetryPolicy(
    initial_interval=timedelta(seconds=5),
    backoff_coefficient=3,
    maximum_interval=timedelta(hours=6),
    maximum_attempts=12,
)
ONE_ATTEMPT = timedelta(seconds=30)


@workflow.defn
class WebhookDelivery:
    @workflow.run
    async def run(self, ref: DeliveryRef) -> None:
        try:
            await workflow.execute_activity_method(
                WebhookActivities.deliver, ref, start_to_close_timeout=ONE_ATTEMPT, retry_policy=ATTEMPTS
            )
        except ActivityError as error:
            why = str(error.cause or error)
            await workflow.execute_activity_method(
                WebhookActivities.bury, args=[ref, why], start_to_close_timeout=ONE_ATTEMPT
            )
