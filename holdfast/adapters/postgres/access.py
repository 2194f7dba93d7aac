"""API keys, custom roles, tenants and token buckets, as rows. Secrets come in as hashes and never leave."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.errors import Conflict, NotFound
from schemas.access import (
    ApiKey,
    ApiKeyDraft,
    CustomRole,
    CustomRoleDraft,
    NewApiKey,
    Tenant,
    TenantDraft,
    TenantSettings,
)

_COLUMNS = """id, tenant, name, roles, scopes, environments, created_by, created_at, expires_at, revoked_at,
  last_used_at, rotated_from"""


@dataclass(frozen=True)
class Admission:
    """What Postgres says about a key that wants to come in."""

    tenant: str
    name: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...] | None
    environments: tuple[str, ...] | None
    extra: tuple[str, ...]
    wait_s: float


def split_token(token: str) -> tuple[str, bytes] | None:
    """The id and the hash of a key; None for what cannot be one."""
    parts = token.split("_")
    if len(parts) != 3 or parts[0] != "hf" or not token.isascii() or len(token) > 128:
        return None
    return parts[1], hashlib.sha256(token.encode()).digest()


def new_token() -> tuple[str, str]:
    """An id, and a token of 192 bits of chance that starts with it."""
    key_id = secrets.token_hex(6)
    return key_id, f"hf_{key_id}_{secrets.token_hex(24)}"


class PostgresKeys:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def admit(self, token: str, *, route_class: str, rate: float, burst: float) -> Admission | None:
        """Who holds this key, and how long they have to wait; None for a key that is unknown, expired or revoked."""
        split = split_token(token)
        if split is None:
            return None
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select * from admit_key(%s, %s, %s, %s, %s)", (*split, route_class, rate, burst)
            )
            row = await cursor.fetchone()
        if row is None or row["tenant"] is None:
            return None
        return Admission(
            tenant=row["tenant"],
            name=row["name"],
            roles=tuple(row["roles"]),
            scopes=None if row["scopes"] is None else tuple(row["scopes"]),
            environments=None if row["environments"] is None else tuple(row["environments"]),
            extra=tuple(row["extra"] or ()),
            wait_s=row["wait_s"],
        )

    async def take_token(self, bucket: str, *, rate: float, burst: float) -> float:
        """Seconds until the caller may ask again; 0 when it may now."""
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select take_token(%s, %s, %s) as wait_s", (bucket, rate, burst)
            )
            row = await cursor.fetchone()
        return float(row["wait_s"]) if row else 0.0

    async def create(
        self, tenant: str, draft: ApiKeyDraft, *, created_by: str, rotated_from: str | None = None
    ) -> NewApiKey:
        key_id, token = new_token()
        expires = (
            None if draft.expires_in_s is None else datetime.now(UTC) + timedelta(seconds=draft.expires_in_s)
        )
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""insert into api_keys
                      (id, tenant, hash, name, roles, scopes, environments, created_by, expires_at, rotated_from)
                    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning {_COLUMNS}""",  # noqa: S608 - a constant
                (
                    key_id,
                    tenant,
                    hashlib.sha256(token.encode()).digest(),
                    draft.name,
                    list(draft.roles),
                    None if draft.scopes is None else list(draft.scopes),
                    None if draft.environments is None else list(draft.environments),
                    created_by,
                    expires,
                    rotated_from,
                ),
            )
            row = await cursor.fetchone()
        return NewApiKey.model_validate({**(row or {}), "token": token})

    async def page(self, tenant: str, *, after: str | None, limit: int) -> Sequence[ApiKey]:
        """Newest first; `after` is the id of the last key seen."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""select {_COLUMNS} from api_keys
                    where %(after)s::text is null
                       or (created_at, id) < (select created_at, id from api_keys where id = %(after)s)
                    order by created_at desc, id desc limit %(limit)s""",  # noqa: S608 - a constant
                {"after": after, "limit": limit},
            )
            return [ApiKey.model_validate(row) for row in await cursor.fetchall()]

    async def read(self, tenant: str, key_id: str) -> ApiKey:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"select {_COLUMNS} from api_keys where id = %s",  # noqa: S608 - a constant
                (key_id,),
            )
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"There is no API key {key_id}.")
        return ApiKey.model_validate(row)

    async def rotate(self, tenant: str, key_id: str, *, overlap_s: float, by: str) -> NewApiKey:
        """A new key with the same rights; the old one ends after the overlap."""
        old = await self.read(tenant, key_id)
        if old.revoked_at is not None:
            raise Conflict(f"API key {key_id} is revoked.", remedy="Make a new key instead.")
        draft = ApiKeyDraft.model_validate(
            {
                "name": old.name,
                "roles": old.roles,
                "scopes": old.scopes,
                "environments": old.environments,
                "expires_in_s": _remaining_s(old),
            }
        )
        new = await self.create(tenant, draft, created_by=by, rotated_from=key_id)
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                """update api_keys set expires_at =
                     least(expires_at, clock_timestamp() + make_interval(secs => %s)) where id = %s""",
                (overlap_s, key_id),
            )
        return new

    async def revoke(self, tenant: str, key_id: str) -> ApiKey:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "update api_keys set revoked_at = coalesce(revoked_at, clock_timestamp()) where id = %s",
                (key_id,),
            )
        return await self.read(tenant, key_id)

    async def is_named(self, tenant: str, name: str) -> bool:
        """Whether a key of this name works."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select from api_keys where name = %s and revoked_at is null
                     and (expires_at is null or expires_at > clock_timestamp()) limit 1""",
                (name,),
            )
            return await cursor.fetchone() is not None

    async def revoke_named(self, tenant: str, name: str) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "update api_keys set revoked_at = clock_timestamp() where name = %s and revoked_at is null",
                (name,),
            )


def _remaining_s(key: ApiKey) -> float | None:
    """How long the old key was meant to live, which the new one gets again."""
    return None if key.expires_at is None else (key.expires_at - key.created_at).total_seconds()


class PostgresRoles:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def all(self, tenant: str) -> Sequence[CustomRole]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select name, permissions, description from roles order by name"
            )
            return [CustomRole.model_validate(row) for row in await cursor.fetchall()]

    async def write(self, tenant: str, name: str, draft: CustomRoleDraft) -> CustomRole:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                """insert into roles (tenant, name, permissions, description) values (%s, %s, %s, %s)
                   on conflict (tenant, name) do update set
                     permissions = excluded.permissions, description = excluded.description""",
                (tenant, name, sorted(draft.permissions), draft.description),
            )
        return CustomRole(name=name, permissions=draft.permissions, description=draft.description)

    async def remove(self, tenant: str, name: str) -> None:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("delete from roles where name = %s", (name,))
        if cursor.rowcount == 0:
            raise NotFound(f"There is no custom role {name}.")


class PostgresTenants:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def all(self) -> Sequence[Tenant]:
        async with self._database.statement() as connection:
            cursor = await connection.execute("select tenant, title, settings, created_at from all_tenants()")
            return [Tenant.model_validate(row) for row in await cursor.fetchall()]

    async def read(self, tenant: str) -> Tenant:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("select tenant, title, settings, created_at from tenants")
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"There is no tenant {tenant}.")
        return Tenant.model_validate(row)

    async def create(self, draft: TenantDraft) -> Tenant:
        async with self._database.tenant(draft.tenant) as connection:
            await connection.execute(
                "insert into tenants (tenant, title, settings) values (%s, %s, %s)",
                (draft.tenant, draft.title, Jsonb(_settings(draft).model_dump(mode="json"))),
            )
            await _limit_spend(connection, draft)
        return await self.read(draft.tenant)

    async def change(self, draft: TenantDraft) -> Tenant:
        async with self._database.tenant(draft.tenant) as connection:
            await connection.execute(
                "update tenants set title = %s, settings = settings || %s where tenant = %s",
                (draft.title, Jsonb(_settings(draft).model_dump(mode="json")), draft.tenant),
            )
            await _limit_spend(connection, draft)
        return await self.read(draft.tenant)


async def _limit_spend(connection: Connection, draft: TenantDraft) -> None:
    """The day's budget stands with the other budgets, which model calls are held against."""
    await connection.execute(
        "delete from spend_limits where scope = 'tenant' and subject = %s and period = 'day'", (draft.tenant,)
    )
    if draft.spend_usd_a_day is not None:
        await connection.execute(
            """insert into spend_limits (tenant, scope, subject, period, limit_usd)
               values (%s, 'tenant', %s, 'day', %s)""",
            (draft.tenant, draft.tenant, draft.spend_usd_a_day),
        )


def _settings(draft: TenantDraft) -> TenantSettings:
    return TenantSettings(active_runs=draft.active_runs, spend_usd_a_day=draft.spend_usd_a_day)
