"""Policies as rows: versions, bundles, and the pointer to the bundle in force. Fulfils the port `PolicyStore`."""

from collections.abc import Sequence
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.errors import Conflict, NotFound
from holdfast.guardian.stores import Head
from schemas.base import Digest
from schemas.policies import Bundle, PolicyRef, PolicyVersion
from schemas.policy_desk import Activation

_VERSION = sql.SQL("name, version, document, resolved, author, change_note, created_at")
_ACTIVATION = sql.SQL("number, digest, previous, by_whom as by, note, at")


class PostgresPolicies:
    """Versions never change and bundles are named by their digest, so every write is safe to repeat."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def add(self, tenant: str, version: PolicyVersion) -> PolicyVersion:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                sql.SQL("""insert into policies (tenant, name, version, document, resolved, checksum, author, change_note)
                    values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing returning {}""").format(
                    _VERSION
                ),
                (
                    tenant,
                    version.name,
                    version.version,
                    Jsonb(version.document.written()),
                    Jsonb(version.resolved.written()),
                    version.checksum,
                    version.author,
                    version.change_note,
                ),
            )
            row = await cursor.fetchone()
            await connection.execute("delete from retired_policies where name = %s", (version.name,))
        if row is None:
            raise Conflict(
                f"Somebody else stored {version.key} in the meantime.",
                remedy="Read it, and send yours again.",
            )
        return PolicyVersion.model_validate(row)

    async def versions(self, tenant: str, name: str) -> Sequence[PolicyVersion]:
        """All versions of one policy, oldest first."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                sql.SQL("select {} from policies where name = %s order by version").format(_VERSION), (name,)
            )
            return [PolicyVersion.model_validate(row) for row in await cursor.fetchall()]

    async def named(self, tenant: str, refs: Sequence[PolicyRef]) -> Sequence[PolicyVersion]:
        """These versions, sorted by name. Raises NotFound for one that does not exist."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                sql.SQL("""select {} from policies
                    join unnest(%s::text[], %s::int[]) as wanted (n, v) on name = n and version = v
                    order by name""").format(_VERSION),
                ([ref.name for ref in refs], [ref.version for ref in refs]),
            )
            found = [PolicyVersion.model_validate(row) for row in await cursor.fetchall()]
        missing = {(ref.name, ref.version) for ref in refs} - {(each.name, each.version) for each in found}
        for name, version in sorted(missing):
            raise NotFound(f"There is no policy {name}@{version}.", policy=name, version=version)
        return found

    async def newest(self, tenant: str) -> Sequence[PolicyVersion]:
        """The newest version of every policy, by name, retired ones too."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                sql.SQL("select distinct on (name) {} from policies order by name, version desc").format(
                    _VERSION
                )
            )
            return [PolicyVersion.model_validate(row) for row in await cursor.fetchall()]

    async def retired(self, tenant: str) -> frozenset[str]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("select name from retired_policies")
            return frozenset(row["name"] for row in await cursor.fetchall())

    async def retire(self, tenant: str, name: str, *, by: str) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "insert into retired_policies (tenant, name, retired_by) values (%s, %s, %s) on conflict do nothing",
                (tenant, name, by),
            )

    async def discard(self, tenant: str, name: str, version: int) -> None:
        """Delete a draft. Raises Conflict where a bundle names it, NotFound where there is none."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "delete from policies where name = %s and version = %s", (name, version)
            )
            if cursor.rowcount == 0:
                raise NotFound(f"There is no policy {name}@{version}.", policy=name, version=version)

    async def head(self, tenant: str) -> Head:
        async with self._database.tenant(tenant) as connection:
            return await _head(connection)

    async def in_force(self, tenant: str, digest: Digest | None) -> Sequence[PolicyRef]:
        """The tenant's own versions in a bundle."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select name, version from bundle_policies where digest = %s order by name", (digest,)
            )
            return [PolicyRef.model_validate(row) for row in await cursor.fetchall()]

    async def bundle(self, tenant: str, digest: Digest) -> Bundle:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select settings, shipped from bundles where digest = %s", (digest,)
            )
            row = await cursor.fetchone()
            if row is None:
                raise NotFound(f"There is no policy bundle {digest}.", bundle=digest)
            cursor = await connection.execute(
                sql.SQL("""select {} from bundle_policies join policies using (tenant, name, version)
                    where digest = %s order by name""").format(_VERSION),
                (digest,),
            )
            own = [PolicyVersion.model_validate(each) for each in await cursor.fetchall()]
        return Bundle.model_validate({**row["settings"], "policies": [*row["shipped"], *own]})

    async def keep(self, tenant: str, bundle: Bundle) -> Digest:
        """Store a bundle without putting it in force, so that a run can name it for as long as it lives."""
        async with self._database.tenant(tenant) as connection:
            await _keep(connection, tenant, bundle)
        return bundle.digest

    async def activate(
        self, tenant: str, bundle: Bundle, *, by: str, note: str, expected: Head | None = None
    ) -> Activation:
        """Keep the bundle and move the pointer, in one transaction."""
        async with self._database.tenant(tenant) as connection:
            head = await _lock(connection, tenant)
            if expected and head.digest != expected.digest:
                raise Conflict(
                    "Somebody else activated policies in the meantime.",
                    remedy="Look at `holdfast policies history`, and activate yours again.",
                )
            await _keep(connection, tenant, bundle)
            return await _move(connection, tenant, bundle.digest, by=by, note=note)

    async def reactivate(self, tenant: str, digest: Digest, *, by: str, note: str) -> Activation:
        """Move the pointer to a bundle that was kept before."""
        async with self._database.tenant(tenant) as connection:
            await _lock(connection, tenant)
            return await _move(connection, tenant, digest, by=by, note=note)

    async def activations(self, tenant: str, *, limit: int = 100) -> Sequence[Activation]:
        """Newest first."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                sql.SQL("select {} from activations order by number desc limit %s").format(_ACTIVATION),
                (limit,),
            )
            return [Activation.model_validate(row) for row in await cursor.fetchall()]


async def _head(connection: Connection) -> Head:
    cursor = await connection.execute("select revision, digest from policy_heads")
    row = await cursor.fetchone()
    return Head(row["revision"], row["digest"]) if row else Head(0, None)


async def _lock(connection: Connection, tenant: str) -> Head:
    """The head, for this transaction alone: of two activations at once, one comes after the other."""
    await connection.execute(
        "insert into policy_heads (tenant) values (%s) on conflict do nothing", (tenant,)
    )
    await connection.execute("select from policy_heads for update")
    return await _head(connection)


async def _keep(connection: Connection, tenant: str, bundle: Bundle) -> None:
    own = [policy for policy in bundle.policies if not policy.shipped]
    shipped = [_written(policy) for policy in bundle.policies if policy.shipped]
    settings = bundle.model_dump(mode="json", exclude={"policies"})
    cursor = await connection.execute(
        "insert into bundles (tenant, digest, settings, shipped) values (%s, %s, %s, %s) on conflict do nothing",
        (tenant, bundle.digest, Jsonb(settings), Jsonb(shipped)),
    )
    if cursor.rowcount:
        await connection.execute(
            """insert into bundle_policies (tenant, digest, name, version)
               select %s, %s, n, v from unnest(%s::text[], %s::int[]) as own (n, v)""",
            (tenant, bundle.digest, [policy.name for policy in own], [policy.version for policy in own]),
        )


def _written(policy: PolicyVersion) -> dict[str, Any]:
    """With only the fields its author wrote: its checksum is over these."""
    return policy.model_dump(mode="json", exclude_unset=True)


async def _move(connection: Connection, tenant: str, digest: Digest, *, by: str, note: str) -> Activation:
    await connection.execute(
        "insert into policy_heads (tenant) values (%s) on conflict do nothing", (tenant,)
    )
    # Two activations at once get two numbers, one after the other.
    await connection.execute("select from policy_heads for update")
    cursor = await connection.execute(
        sql.SQL("""insert into activations (tenant, number, digest, previous, by_whom, note)
            select %(tenant)s, coalesce((select max(number) from activations), 0) + 1, %(digest)s, h.digest, %(by)s, %(note)s
            from policy_heads h returning {}""").format(_ACTIVATION),
        {"tenant": tenant, "digest": digest, "by": by, "note": note},
    )
    return Activation.model_validate(await cursor.fetchone())
