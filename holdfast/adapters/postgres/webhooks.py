"""Webhooks and their messages, as rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.readings import Position
from holdfast.errors import NotFound
from holdfast.ids import new_id
from holdfast.webhooks import new_secret
from schemas.events import RunEvent
from schemas.webhooks import Delivery, DeliveryRef, DeliveryStatus, NewWebhook, Webhook, WebhookDraft

_COLUMNS = "id, tenant, url, events, environments, description, paused, created_by, created_at"


@dataclass(frozen=True)
class Message:
    """All that is needed to send one."""

    url: str
    secret: str
    event: RunEvent


class PostgresWebhooks:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def create(self, tenant: str, draft: WebhookDraft, *, created_by: str) -> NewWebhook:
        secret = new_secret()
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""insert into webhooks (id, tenant, url, events, environments, description, secret, created_by)
                    values (%s, %s, %s, %s, %s, %s, %s, %s) returning {_COLUMNS}""",  # noqa: S608 - a constant
                (
                    new_id("whk"),
                    tenant,
                    draft.url,
                    list(draft.events),
                    None if draft.environments is None else list(draft.environments),
                    draft.description,
                    secret,
                    created_by,
                ),
            )
            row = await cursor.fetchone()
        return NewWebhook.model_validate({**(row or {}), "secret": secret})

    async def all(self, tenant: str) -> Sequence[Webhook]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(f"select {_COLUMNS} from webhooks order by created_at desc, id")  # noqa: S608 - a constant
            return [Webhook.model_validate(row) for row in await cursor.fetchall()]

    async def read(self, tenant: str, webhook_id: str) -> Webhook:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"select {_COLUMNS} from webhooks where id = %s",  # noqa: S608 - a constant
                (webhook_id,),
            )
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"There is no webhook {webhook_id}.")
        return Webhook.model_validate(row)

    async def remove(self, tenant: str, webhook_id: str) -> None:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("delete from webhooks where id = %s", (webhook_id,))
        if cursor.rowcount == 0:
            raise NotFound(f"There is no webhook {webhook_id}.")

    async def deliveries(
        self, tenant: str, webhook_id: str, *, status: str | None, after: Position | None, limit: int
    ) -> Sequence[Delivery]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select id, webhook_id, run_id, seq, type, status, attempts, last_error, created_at, done_at
                   from webhook_deliveries where webhook_id = %(webhook)s
                     and (%(status)s::text is null or status = %(status)s)
                     and (%(at)s::timestamptz is null or (created_at, id) < (%(at)s, %(id)s))
                   order by created_at desc, id desc limit %(limit)s""",
                {
                    "webhook": webhook_id,
                    "status": status,
                    "at": after.created_at if after else None,
                    "id": after.id if after else None,
                    "limit": limit,
                },
            )
            return [Delivery.model_validate(row) for row in await cursor.fetchall()]

    async def message(self, ref: DeliveryRef) -> Message | None:
        """What is to be sent; None where the webhook or the run is gone, or it was delivered."""
        async with self._database.tenant(ref.tenant) as connection:
            cursor = await connection.execute(
                """select w.url, w.secret, e.tenant, e.run_id, e.seq, e.type, e.step_id, e.data, e.at
                   from webhook_deliveries d join webhooks w on w.id = d.webhook_id
                   join run_events e on e.run_id = d.run_id and e.seq = d.seq
                   where d.id = %s and d.status <> 'delivered'""",
                (ref.id,),
            )
            row = await cursor.fetchone()
        if row is None:
            return None
        return Message(url=row["url"], secret=row["secret"], event=RunEvent.model_validate(row))

    async def attempted(self, ref: DeliveryRef, status: DeliveryStatus, *, error: str = "") -> None:
        """One more attempt, and how it went."""
        async with self._database.tenant(ref.tenant) as connection:
            await connection.execute(
                """update webhook_deliveries set attempts = attempts + 1, status = %s, last_error = %s,
                     done_at = case when %s = 'delivered' then clock_timestamp() end
                   where id = %s and status <> 'delivered'""",
                (status, error[:500], status, ref.id),
            )

    async def bury(self, ref: DeliveryRef, why: str) -> None:
        async with self._database.tenant(ref.tenant) as connection:
            await connection.execute(
                """update webhook_deliveries set status = 'dead', last_error = %s, done_at = clock_timestamp()
                   where id = %s and status = 'pending'""",
                (why[:500], ref.id),
            )

    async def unstarted(self) -> Sequence[DeliveryRef]:
        async with self._database.statement() as connection:
            cursor = await connection.execute("select tenant, id from unstarted_deliveries()")
            return [DeliveryRef.model_validate(row) for row in await cursor.fetchall()]

    async def started(self, ref: DeliveryRef) -> None:
        async with self._database.tenant(ref.tenant) as connection:
            await connection.execute(
                "update webhook_deliveries set started_at = clock_timestamp() where id = %s", (ref.id,)
            )

    async def retry(self, tenant: str, webhook_id: str, delivery_id: str) -> None:
        """Queue a dead message anew."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """update webhook_deliveries set status = 'pending', started_at = null, done_at = null
                   where id = %s and webhook_id = %s and status = 'dead'""",
                (delivery_id, webhook_id),
            )
        if cursor.rowcount == 0:
            raise NotFound(f"There is no dead message {delivery_id}.")
