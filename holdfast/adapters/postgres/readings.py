"""What the API reads and no run writes: pages of runs, what a run cost, what it was told. Read-only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, LiteralString

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from schemas.runs import Run

_RUN_COLUMNS: LiteralString = """r.tenant, r.id, r.goal, r.agent, r.agent_version, r.environment, r.mode, r.status,
  r.reason, r.answer, r.outputs, r.cites, r.labels, r.thread, r.parent, r.forked_from, r.requested_by,
  r.spend_usd::float8 as spend_usd, r.created_at, r.started_at, r.ended_at, h.last_seq"""


@dataclass(frozen=True)
class RunFilter:
    """Which runs; what is None or empty does not narrow."""

    statuses: Sequence[str] = ()
    agent: str | None = None
    environments: Sequence[str] | None = None
    thread: str | None = None
    parent: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class Position:
    """The place between two runs of a list."""

    created_at: datetime
    id: str


class PostgresReadings:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def runs(
        self,
        tenant: str,
        wanted: RunFilter,
        *,
        after: Position | None,
        limit: int,
        order: Literal["newest", "oldest"] = "newest",
    ) -> Sequence[Run]:
        direction: LiteralString = "desc" if order == "newest" else "asc"
        beyond: LiteralString = "<" if order == "newest" else ">"
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""select {_RUN_COLUMNS} from runs r join run_heads h on h.run_id = r.id
                where (%(statuses)s::text[] is null or r.status = any (%(statuses)s))
                  and (%(agent)s::text is null or r.agent = %(agent)s)
                  and (%(environments)s::text[] is null or r.environment = any (%(environments)s))
                  and (%(thread)s::text is null or r.thread = %(thread)s)
                  and (%(parent)s::text is null or r.parent = %(parent)s)
                  and (%(labels)s::jsonb is null or r.labels @> %(labels)s)
                  and (%(text)s::text is null or r.goal ilike %(text)s or r.answer ilike %(text)s)
                  and (%(created_after)s::timestamptz is null or r.created_at >= %(created_after)s)
                  and (%(created_before)s::timestamptz is null or r.created_at < %(created_before)s)
                  and (%(at)s::timestamptz is null or (r.created_at, r.id) {beyond} (%(at)s, %(id)s))
                order by r.created_at {direction}, r.id {direction} limit %(limit)s""",  # noqa: S608 - constants only
                {**_parameters(wanted), **_place(after), "limit": limit},
            )
            return [Run.model_validate(row) for row in await cursor.fetchall()]

    async def schema_version(self) -> str:
        """The newest migration that ran here."""
        async with self._database.statement() as connection:
            cursor = await connection.execute("select newest_migration() as name")
            row = await cursor.fetchone()
        return str(row["name"]) if row else ""


def _parameters(wanted: RunFilter) -> dict[str, Any]:
    return {
        "statuses": list(wanted.statuses) or None,
        "agent": wanted.agent,
        "environments": None if wanted.environments is None else list(wanted.environments),
        "thread": wanted.thread,
        "parent": wanted.parent,
        "labels": Jsonb(wanted.labels) if wanted.labels else None,
        "text": f"%{_literally(wanted.text)}%" if wanted.text else None,
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
    }


def _place(after: Position | None) -> dict[str, Any]:
    return {"at": after.created_at if after else None, "id": after.id if after else None}


def _literally(text: str) -> str:
    """The text itself, with nothing in it that `like` would read as a pattern."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
