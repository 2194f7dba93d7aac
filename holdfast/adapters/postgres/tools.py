"""The catalogue, as workers publish it and new runs take it."""

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.errors import Conflict
from holdfast.tools.registry import newest_of, semantic
from schemas.tools import Catalogue, ToolSpec

EVERY_TENANT = "*"


class PostgresTools:
    """Fulfils `holdfast.runs.Catalogues`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def publish(self, specs: Sequence[ToolSpec]) -> None:
        """Offer these versions to every tenant. A published version never changes, but may be deprecated: a new digest
        needs a new version."""
        async with self._database.tenant(EVERY_TENANT) as connection:
            for spec in specs:
                cursor = await connection.execute(
                    """insert into tools (tenant, name, version, digest, spec) values (%s, %s, %s, %s, %s)
                       on conflict (tenant, name, version) do update
                         set seen_at = clock_timestamp(), withdrawn_at = null,
                             spec = case when tools.digest = excluded.digest then excluded.spec else tools.spec end
                       returning digest""",
                    (EVERY_TENANT, spec.name, spec.version, spec.digest, Jsonb(spec.model_dump(mode="json"))),
                )
                row = await cursor.fetchone()
                if row and row["digest"] != spec.digest:
                    raise Conflict(
                        f"Tool {spec.key} was published before with other words.",
                        remedy="Give the change a new version number.",
                    )

    async def withdraw(self, specs: Sequence[ToolSpec]) -> None:
        """Offer these versions to no new run; those that started with them keep them."""
        async with self._database.tenant(EVERY_TENANT) as connection:
            for spec in specs:
                await connection.execute(
                    "update tools set withdrawn_at = clock_timestamp() where tenant = %s and name = %s and version = %s",
                    (EVERY_TENANT, spec.name, spec.version),
                )

    async def keep_only(self, source: str, specs: Sequence[ToolSpec]) -> None:
        """Of this source, offer these and no others: what a worker that has just started found."""
        async with self._database.tenant(EVERY_TENANT) as connection:
            await connection.execute(
                """update tools set withdrawn_at = clock_timestamp()
                   where tenant = %s and withdrawn_at is null and spec->>'source' = %s
                     and name || '@' || version <> all(%s)""",
                (EVERY_TENANT, source, [spec.key for spec in specs]),
            )

    async def tools(self, tenant: str, environment: str, *, patterns: Sequence[str] = ()) -> Catalogue:
        """Of each tool that is not switched off there, the version that a pattern names, else the newest."""
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select spec from offered_tools(%s, %s) as spec", (tenant, environment)
            )
            specs = [ToolSpec.model_validate(row["spec"]) for row in await cursor.fetchall()]
        named = [spec for spec in specs if spec.key in patterns]
        chosen = {spec.name for spec in named}
        return newest_of([*named, *(spec for spec in specs if spec.name not in chosen)])

    async def versions(self, tenant: str, name: str) -> Sequence[ToolSpec]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("select spec from tools where name = %s", (name,))
            found = [ToolSpec.model_validate(row["spec"]) for row in await cursor.fetchall()]
        return sorted(found, key=lambda spec: semantic(spec.version))
