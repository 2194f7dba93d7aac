"""Approvals as people meet them: listed, decided, and passed on to the run that waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.readings import Position
from schemas.actions import Action
from schemas.base import Digest, JsonObject
from schemas.brakes import EnvelopeEntry
from schemas.facts import Facts

Refused = Literal[
    "decided",
    "withdrawn",
    "expired",
    "other_digest",
    "four_eyes",
    "voted",
    "other_edit",
    "other_scope",
    "passed_around",
]


@dataclass(frozen=True)
class Vote:
    """What one person says to one question. `effective` is the digest of what would happen: the action's, or of the
    action with their arguments."""

    approver: str
    decision: Literal["approve", "edit", "reject"]
    digest: Digest
    effective: Digest
    comment: str = ""
    arguments: JsonObject | None = None
    scope: Sequence[EnvelopeEntry] = ()


class PostgresDecisions:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def decide(self, tenant: str, approval_id: str, vote: Vote) -> Refused | None:
        """Store the vote with its event, in one transaction; why it does not count comes back, if it does not."""
        row = await self._database.call(
            b"select refused from decide_approval(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            tenant,
            approval_id,
            vote.approver,
            vote.decision,
            vote.digest,
            vote.effective,
            vote.comment,
            None if vote.arguments is None else Jsonb(vote.arguments),
            Jsonb([entry.model_dump(mode="json") for entry in vote.scope]) if vote.scope else None,
        )
        refused: Refused | None = row["refused"]
        return refused

    async def delegate(
        self, tenant: str, approval_id: str, *, by: str, to: str, comment: str
    ) -> Refused | None:
        """Let `to` decide as well, and tell it; why not comes back, if not. Saying it twice changes nothing."""
        row = await self._database.call(
            b"select refused from delegate_approval(%s, %s, %s, %s, %s)", tenant, approval_id, by, to, comment
        )
        refused: Refused | None = row["refused"]
        return refused

    async def action(self, tenant: str, approval_id: str) -> Action | None:
        """The action in question, where the question is about one."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("select action from approvals where id = %s", (approval_id,))
            row = await cursor.fetchone()
        return Action.model_validate(row["action"]) if row and row["action"] else None

    async def facts(self, tenant: str, approval_id: str) -> Facts | None:
        """What was known of the action in question when it was judged."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select v.record->'facts' as facts from approvals a
                   join verdicts v on v.run_id = a.run_id and v.action_digest = a.digest where a.id = %s""",
                (approval_id,),
            )
            row = await cursor.fetchone()
        return Facts.model_validate(row["facts"]) if row and row["facts"] else None

    async def page(
        self,
        tenant: str,
        *,
        statuses: Sequence[str],
        run_id: str | None,
        environments: Sequence[str] | None,
        after: Position | None,
        limit: int,
    ) -> Sequence[str]:
        """Ids, newest first."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select a.id from approvals a join runs r on r.id = a.run_id
                   where (%(statuses)s::text[] is null or a.status = any (%(statuses)s))
                     and (%(run)s::text is null or a.run_id = %(run)s)
                     and (%(environments)s::text[] is null or r.environment = any (%(environments)s))
                     and (%(at)s::timestamptz is null or (a.created_at, a.id) < (%(at)s, %(id)s))
                   order by a.created_at desc, a.id desc limit %(limit)s""",
                {
                    "statuses": list(statuses) or None,
                    "run": run_id,
                    "environments": None if environments is None else list(environments),
                    "at": after.created_at if after else None,
                    "id": after.id if after else None,
                    "limit": limit,
                },
            )
            return [row["id"] for row in await cursor.fetchall()]

    async def heard(self, tenant: str, approval_id: str) -> None:
        """The run has been told."""
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "update approvals set nudged_at = clock_timestamp() where id = %s", (approval_id,)
            )

    async def unheard(self) -> Sequence[tuple[str, str, str]]:
        """Tenant, run and approval of each decision that its run was not told of."""
        async with self._database.statement() as connection:
            cursor = await connection.execute("select tenant, run_id, approval_id from unheard_approvals()")
            return [(row["tenant"], row["run_id"], row["approval_id"]) for row in await cursor.fetchall()]

    async def tell_idle(self, after: timedelta) -> int:
        """Tell the story of each run whose question has waited this long; how many were told now comes back."""
        async with self._database.statement() as connection:
            cursor = await connection.execute("select tell_idle_approvals(%s) as told", (after,))
            row = await cursor.fetchone()
        return row["told"] if row else 0
