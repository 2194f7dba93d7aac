"""Artifacts: outputs too large for history, by digest, belonging to the run that made them."""

from holdfast.adapters.postgres.database import Database
from holdfast.errors import NotFound
from schemas.base import Digest
from schemas.canonical import digest_of_bytes
from schemas.stages import RunScope
from schemas.tools import ArtifactRef


class PostgresArtifacts:
    """Fulfils the port `Artifacts`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def put(self, scope: RunScope, data: bytes, *, content_type: str) -> ArtifactRef:
        digest = digest_of_bytes(data)
        async with self._database.tenant(scope.tenant) as connection:
            await connection.execute(
                """insert into artifacts (tenant, digest, run_id, content_type, size, data)
                   values (%s, %s, %s, %s, %s, %s) on conflict (run_id, digest) do nothing""",
                (scope.tenant, digest, scope.run_id, content_type, len(data), data),
            )
        return ArtifactRef(digest=digest, size=len(data), content_type=content_type)

    async def get(self, tenant: str, digest: Digest) -> bytes:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select data from artifacts where digest = %s limit 1", (digest,)
            )
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"There is no artifact {digest}.")
        return bytes(row["data"])
