"""The first key of an installation, for the one who starts it: made in the database, by whoever may write there."""

import os
from datetime import UTC, datetime

from holdfast.adapters.postgres.access import PostgresKeys
from holdfast.adapters.postgres.audit import PostgresAudit
from holdfast.adapters.postgres.database import Database
from holdfast.errors import Conflict
from schemas.access import ApiKeyDraft, AuditEntry, NewApiKey, Role

_NAME = "bootstrap"


async def bootstrap_key(database: Database, *, tenant: str = "default") -> str:
    """A new key for everything, whose earlier namesake ends. Call it when the kept one is missing; it is told only here."""
    return (await first_key(database, tenant=tenant, replace=True)).token


async def first_key(database: Database, *, tenant: str, replace: bool) -> NewApiKey:
    """The same, unless there is one that works and nobody said to replace it. The audit log tells who made it."""
    keys = PostgresKeys(database=database)
    if not replace and await keys.is_named(tenant, _NAME):
        raise Conflict(
            f"There is a key {_NAME} in tenant {tenant} already.",
            remedy="`holdfast keys create` makes others with it; --replace ends it and makes a new one.",
        )
    await keys.revoke_named(tenant, _NAME)
    draft = ApiKeyDraft(name=_NAME, roles=(Role.PLATFORM_ADMIN,))
    key = await keys.create(tenant, draft, created_by="system")
    made = AuditEntry(
        at=datetime.now(UTC),
        actor=f"uid:{os.getuid()}",
        action="keys bootstrap",
        object=f"/v1/keys/{key.id}",
        status=201,
    )
    await PostgresAudit(database=database).append(tenant, made)
    return key
