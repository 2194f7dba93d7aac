"""The knowledge queue: what is recalled before a run and learned after it; and the house kept."""

from collections.abc import Mapping
from datetime import timedelta

from holdfast.adapters.postgres.payload_retention import forgotten_by, purge_payloads
from holdfast.adapters.postgres.retention import PostgresRetention
from workers import pools
from workers.housekeeping import Chore, retention_chores
from workers.parts import Parts


async def pool(held: Parts) -> pools.Pool:
    shelf = await held.shelf()
    return pools.knowledge(memory=shelf.memory, desk=shelf.library.jobs)


async def chores(held: Parts) -> Mapping[str, Chore]:
    database, settings = await held.database(), held.settings.retention
    client = await held.client(role="holdfast_app")
    age = timedelta(days=settings.payloads_days)

    async def payloads() -> int:
        return await purge_payloads(database, forgotten_by(client), older_than=age)

    return {**retention_chores(PostgresRetention(database=database), settings), "purge_payloads": payloads}
