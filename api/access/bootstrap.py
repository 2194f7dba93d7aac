"""The first key of an installation, for the one who starts it."""

from holdfast.adapters.postgres.access import PostgresKeys
from holdfast.adapters.postgres.database import Database
from schemas.access import ApiKeyDraft, Role


async def bootstrap_key(database: Database, *, tenant: str = "default", name: str = "bootstrap") -> str:
    """A new admin key, whose earlier namesake ends. Call it when the kept one is missing; it is told only here."""
    keys = PostgresKeys(database=database)
    await keys.revoke_named(tenant, name)
    draft = ApiKeyDraft(name=name, roles=(Role.PLATFORM_ADMIN,))
    return (await keys.create(tenant, draft, created_by="system")).token
