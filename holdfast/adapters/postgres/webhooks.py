"""Webhooks and their messages, as rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.readings import Position
from holdfast.errors import Conflict, Misconfigured, NotFound, PreconditionFailed
from holdfast.ids import new_id
from holdfast.runtime.sealing import Seal
from holdfast.webhooks import new_secret
from schemas.events import RunEvent
from schemas.webhooks import Delivery, DeliveryRef, DeliveryStatus, NewWebhook, Webhook, WebhookDraft

_COLUMNS = """id, tenant, url, events, environments, description, paused, version, created_by, created_at,
  case when old_secret_until > clock_timestamp() then old_secret_until end as old_secret_until"""
_SECRETS = ("secret", "old_secret")


@dataclass(frozen=True)
class Message:
    """All that is needed to send one."""

    url: str
    secrets: tuple[str, ...]
    event: RunEvent


class PostgresWebhooks:
    """Secrets are sealed on their way in, and opened only for the message that is to be signed."""

    def __init__(self, *, database: Database, seal: Seal | None) -> None:
        self._database = database
        self._seal = seal

    async def create(self, tenant: str, draft: WebhookDraft, *, created_by: str) -> NewWebhook:
        webhook_id, secret = new_id("whk"), new_secret()
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""insert into webhooks
                      (id, tenant, url, events, environments, description, paused, secret, created_by)
                    values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning {_COLUMNS}""",  # noqa: S608 - a constant
                (webhook_id, tenant, *_values(draft), self._sealed(webhook_id, secret), created_by),
            )
            row = await cursor.fetchone()
        return NewWebhook.model_validate({**(row or {}), "secret": secret})

    async def change(self, tenant: str, webhook_id: str, draft: WebhookDraft, *, version: int) -> Webhook:
        """The webhook as this draft says, if `version` is still the newest."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""update webhooks set url = %s, events = %s, environments = %s, description = %s, paused = %s,
                      version = version + 1
                    where id = %s and version = %s returning {_COLUMNS}""",  # noqa: S608 - a constant
                (*_values(draft), webhook_id, version),
            )
            row = await cursor.fetchone()
        if row is None:
            raise PreconditionFailed(
                f"Webhook {webhook_id} was changed in the meantime.", remedy="Read it again, and write then."
            )
        return Webhook.model_validate(row)

    async def rotate(self, tenant: str, webhook_id: str, *, overlap_s: float) -> NewWebhook:
        """A new secret; messages are signed with the old one too until the overlap is over."""
        secret = new_secret()
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""update webhooks set old_secret = secret, secret = %s, version = version + 1,
                      old_secret_until = clock_timestamp() + make_interval(secs => %s)
                    where id = %s returning {_COLUMNS}""",  # noqa: S608 - a constant
                (self._sealed(webhook_id, secret), overlap_s, webhook_id),
            )
            row = await cursor.fetchone()
        if row is None:
            raise _unknown(webhook_id)
        return NewWebhook.model_validate({**row, "secret": secret})

    async def seal_all(self) -> int:
        """Seal with the key in force what is not; how many there were. Safe to do twice, and beside others."""
        if self._seal is None:
            return 0
        async with self._database.statement() as connection:
            cursor = await connection.execute("select * from webhooks_to_seal(%s)", (self._seal.mark,))
            rows = await cursor.fetchall()
        for row in rows:
            await self._seal_anew(row)
        return len(rows)

    async def _seal_anew(self, row: dict[str, Any]) -> None:
        old = row["old_secret"]
        anew = self._sealed(row["id"], self._opened(row["id"], row["secret"]))
        old_anew = self._sealed(row["id"], self._opened(row["id"], old)) if old else None
        async with self._database.tenant(row["tenant"]) as connection:
            await connection.execute(
                """update webhooks set secret = %s, old_secret = %s
                   where id = %s and secret = %s and old_secret is not distinct from %s""",
                (anew, old_anew, row["id"], row["secret"], old),
            )

    def _sealed(self, webhook_id: str, secret: str) -> str:
        if self._seal is None:
            raise Conflict(
                "This installation has no key to keep a webhook's secret under.",
                remedy="Set HOLDFAST_TEMPORAL__ENCRYPTION_KEYS for the API and the orchestration workers.",
            )
        return self._seal.close(secret, owner=webhook_id)

    def _opened(self, webhook_id: str, sealed: str) -> str:
        if self._seal is None:
            raise Misconfigured(
                f"There is no key to open the secret of {webhook_id} with.",
                remedy="Set HOLDFAST_TEMPORAL__ENCRYPTION_KEYS for the API and the orchestration workers.",
            )
        return self._seal.open(sealed, owner=webhook_id)

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
            raise _unknown(webhook_id)
        return Webhook.model_validate(row)

    async def remove(self, tenant: str, webhook_id: str) -> None:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("delete from webhooks where id = %s", (webhook_id,))
        if cursor.rowcount == 0:
            raise _unknown(webhook_id)

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

    async def delivery(self, tenant: str, webhook_id: str, delivery_id: str) -> Delivery:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select id, webhook_id, run_id, seq, type, status, attempts, last_error, created_at, done_at
                   from webhook_deliveries where webhook_id = %s and id = %s""",
                (webhook_id, delivery_id),
            )
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"Webhook {webhook_id} has no message {delivery_id}.")
        return Delivery.model_validate(row)

    async def message(self, ref: DeliveryRef) -> Message | None:
        """What is to be sent; None where the webhook or the run is gone, or it was delivered."""
        async with self._database.tenant(ref.tenant) as connection:
            cursor = await connection.execute(
                """select w.id as webhook_id, w.url, w.secret,
                          case when w.old_secret_until > clock_timestamp() then w.old_secret end as old_secret,
                          e.tenant, e.run_id, e.seq, e.type, e.step_id, e.data, e.at
                   from webhook_deliveries d join webhooks w on w.id = d.webhook_id
                   join run_events e on e.run_id = d.run_id and e.seq = d.seq
                   where d.id = %s and d.status <> 'delivered'""",
                (ref.id,),
            )
            row = await cursor.fetchone()
        if row is None:
            return None
        keys = tuple(self._opened(row["webhook_id"], row[name]) for name in _SECRETS if row[name])
        return Message(url=row["url"], secrets=keys, event=RunEvent.model_validate(row))

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


def _values(draft: WebhookDraft) -> tuple[Any, ...]:
    environments = None if draft.environments is None else list(draft.environments)
    return draft.url, list(draft.events), environments, draft.description, draft.paused


def _unknown(webhook_id: str) -> NotFound:
    return NotFound(f"There is no webhook {webhook_id}.", remedy="`holdfast webhooks ls` lists them.")
