"""The audit log: each line is hashed together with the one before it, and nobody but the owner can change one."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from holdfast.adapters.postgres.database import Database
from schemas.access import AuditEntry, AuditLine
from schemas.canonical import canonical_json

_PAGE = 1000


@dataclass(frozen=True)
class AuditFilter:
    """Which lines; what is None does not narrow. `object` is the beginning of one."""

    actor: str | None = None
    action: str | None = None
    object: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class PostgresAudit:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def append(self, tenant: str, entry: AuditEntry) -> int:
        text = canonical_json(entry.model_dump(mode="json")).decode()
        async with self._database.statement() as connection:
            cursor = await connection.execute("select append_audit(%s, %s) as seq", (tenant, text))
            row = await cursor.fetchone()
        return int(row["seq"]) if row else 0

    async def lines(self, tenant: str, *, after: int = 0, limit: int = _PAGE) -> Sequence[AuditLine]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select seq, entry, previous, hash from audit_log where seq > %s order by seq limit %s",
                (after, limit),
            )
            return [AuditLine.model_validate(row) for row in await cursor.fetchall()]

    async def found(self, tenant: str, wanted: AuditFilter, *, after: int, limit: int) -> Sequence[AuditLine]:
        """Lines that fit, in the order of the chain."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select seq, entry, previous, hash from audit_log where seq > %(after)s
                     and (%(actor)s::text is null or entry::jsonb->>'actor' = %(actor)s)
                     and (%(object)s::text is null or starts_with(entry::jsonb->>'object', %(object)s))
                     and (%(action)s::text is null or entry::jsonb->>'action' = %(action)s)
                     and (%(since)s::timestamptz is null or at >= %(since)s)
                     and (%(until)s::timestamptz is null or at < %(until)s)
                   order by seq limit %(limit)s""",
                {**asdict(wanted), "after": after, "limit": limit},
            )
            return [AuditLine.model_validate(row) for row in await cursor.fetchall()]

    async def all_lines(self, tenant: str, *, until: int | None = None) -> AsyncIterator[AuditLine]:
        """The chain from its beginning; `until` leaves out what is written while it is read."""
        after = 0
        while page := await self.lines(tenant, after=after):
            for line in page:
                if until is not None and line.seq > until:
                    return
                yield line
            after = page[-1].seq

    async def head(self, tenant: str) -> tuple[int, str]:
        """How long the chain is, and its last hash, as kept apart from the lines."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("select seq, hash from audit_heads")
            row = await cursor.fetchone()
        return (row["seq"], row["hash"]) if row else (0, "")
