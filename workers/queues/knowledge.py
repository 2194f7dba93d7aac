"""The knowledge queue: documents on their way into the library; and the house kept."""

from collections.abc import Mapping
from datetime import timedelta

from holdfast.adapters.postgres.memory_upkeep import MemoryUpkeep
from holdfast.adapters.postgres.payload_retention import forgotten_by, purge_payloads
from holdfast.adapters.postgres.retention import PostgresRetention
from holdfast.runtime.settings import Settings
from workers import pools
from workers.housekeeping import Chore, retention_chores
from workers.parts import Parts


async def pool(held: Parts) -> pools.Pool:
    return pools.knowledge(desk=(await held.shelf()).library.jobs)


async def chores(held: Parts) -> Mapping[str, Chore]:
    database, settings = await held.database(), held.settings.retention
    client = await held.client(role="holdfast_app")
    age = timedelta(days=settings.payloads_days)

    async def payloads() -> int:
        return await purge_payloads(database, forgotten_by(client), older_than=age)

    return {
        **retention_chores(PostgresRetention(database=database), settings),
        **memory_chores(held.settings, MemoryUpkeep(database=database, memory=(await held.shelf()).memory)),
        "purge_payloads": payloads,
    }


def memory_chores(settings: Settings, upkeep: MemoryUpkeep) -> Mapping[str, Chore]:
    kept, every = settings.retention, timedelta(hours=settings.knowledge.snapshot_hours)
    chores: dict[str, Chore] = {
        "expire_memory": lambda: upkeep.expire(idle=timedelta(days=kept.memory_days)),
        "embed_memory": upkeep.embed,
        "purge_embeddings": lambda: upkeep.purge_embeddings(older_than=timedelta(days=kept.embeddings_days)),
        "purge_staged": lambda: upkeep.purge_staged(older_than=timedelta(days=kept.staged_days)),
    }
    if every:
        dropped = timedelta(days=kept.snapshots_days)
        chores["snapshot_memory"] = lambda: upkeep.snapshot(every=every, kept=dropped)
    return chores
