"""Agents: each write is a new version, and old ones stay for the runs that started with them."""

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.errors import NotFound, PreconditionFailed
from schemas.agents import AgentDraft, AgentSpec


class PostgresAgents:
    """Fulfils the port `Agents`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def read(self, tenant: str, name: str, version: int | None = None) -> AgentSpec:
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select read_agent(%s, %s, %s::int) as spec", (tenant, name, version)
            )
            row = await cursor.fetchone()
        if row is None or row["spec"] is None:
            wanted = name if version is None else f"{name}, version {version}"
            raise NotFound(
                f"There is no agent {wanted}.", remedy="`holdfast agents ls` shows which there are."
            )
        return AgentSpec.model_validate(row["spec"])

    async def write(
        self, tenant: str, draft: AgentDraft, *, author: str, after: int | None = None
    ) -> AgentSpec:
        """The next version of this agent; writing what stands already changes nothing. With `after`, only if that is
        the newest version still."""
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"agent {tenant} {draft.name}",)
            )
            cursor = await connection.execute(
                "select spec from agents where name = %s order by version desc limit 1", (draft.name,)
            )
            row = await cursor.fetchone()
            newest = AgentSpec.model_validate(row["spec"]) if row else None
            version = newest.version if newest else 0
            if after is not None and version != after:
                raise PreconditionFailed(f"Agent {draft.name} is at version {version} by now.")
            spec = AgentSpec.model_validate({**draft.model_dump(), "version": max(version, 1)})
            if newest == spec:
                return newest
            spec = spec.model_copy(update={"version": version + 1})
            await connection.execute(
                "insert into agents (tenant, name, version, spec, author) values (%s, %s, %s, %s, %s)",
                (tenant, spec.name, spec.version, Jsonb(spec.model_dump(mode="json")), author),
            )
        return spec

    async def newest(self, tenant: str) -> Sequence[AgentSpec]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select distinct on (name) spec from agents order by name, version desc"
            )
            return [AgentSpec.model_validate(row["spec"]) for row in await cursor.fetchall()]

    async def versions(self, tenant: str, name: str) -> Sequence[AgentSpec]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select spec from agents where name = %s order by version desc limit 200", (name,)
            )
            return [AgentSpec.model_validate(row["spec"]) for row in await cursor.fetchall()]
