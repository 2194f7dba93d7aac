"""The routes of models: told by the llm workers, who alone read the models file, and kept by each run from its start."""

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from schemas.models import ModelRoutes


class PostgresModelRoutes:
    """Fulfils `holdfast.llm.ports.StartingRoutes` and `holdfast.runs.ModelsOfNow`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def publish(self, routes: ModelRoutes) -> None:
        """Of several workers that say different things, the one that started last is believed."""
        async with self._database.statement() as connection:
            await connection.execute(
                """insert into model_routes (routes) values (%s)
                   on conflict (single) do update set routes = excluded.routes, told_at = clock_timestamp()""",
                (Jsonb(routes.model_dump(mode="json", exclude_defaults=True)),),
            )

    async def current(self) -> ModelRoutes | None:
        async with self._database.statement() as connection:
            cursor = await connection.execute("select routes from model_routes where routes ? 'models'")
            row = await cursor.fetchone()
        return ModelRoutes.model_validate(row["routes"]) if row else None

    async def of_run(self, tenant: str, run_id: str) -> ModelRoutes | None:
        async with self._database.statement() as connection:
            cursor = await connection.execute("select routes_of_run(%s, %s) as routes", (tenant, run_id))
            row = await cursor.fetchone()
        return ModelRoutes.model_validate(row["routes"]) if row and row["routes"] else None
