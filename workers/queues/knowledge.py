"""The knowledge queue: what is recalled before a run and learned after it; and the house kept."""

from collections.abc import Mapping
from datetime import timedelta

from holdfast.adapters.llm.afterthought import MemoryWithAfterthought
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.adapters.postgres.payload_retention import forgotten_by, purge_payloads
from holdfast.adapters.postgres.retention import PostgresRetention
from holdfast.ports import Memory
from schemas.memory import MemoryStatus, RecallSettings
from workers import pools
from workers.housekeeping import Chore, retention_chores
from workers.parts import Parts


async def pool(held: Parts) -> pools.Pool:
    database, settings = await held.database(), held.settings.knowledge
    library = PostgresLibrary(database=database, embedder=held.embedder())
    memory = PostgresMemory(
        database=database,
        embedder=held.embedder(),
        library=library,
        settings=RecallSettings(
            recency_weight=settings.recency_weight, half_life_days=settings.half_life_days
        ),
        new_lessons=MemoryStatus(settings.new_lessons),
    )
    return pools.knowledge(memory=await _looked_back_on(memory, held), desk=library.jobs)


async def _looked_back_on(memory: PostgresMemory, held: Parts) -> Memory:
    """Rules write lessons here; a model, where one is set, adds its own on the llm queue."""
    if held.settings.models.default is None and held.settings.models.file is None:
        return memory
    return MemoryWithAfterthought(memory=memory, client=await held.client(role="holdfast_app"))


async def chores(held: Parts) -> Mapping[str, Chore]:
    database, settings = await held.database(), held.settings.retention
    client = await held.client(role="holdfast_app")
    age = timedelta(days=settings.payloads_days)

    async def payloads() -> int:
        return await purge_payloads(database, forgotten_by(client), older_than=age)

    return {**retention_chores(PostgresRetention(database=database), settings), "purge_payloads": payloads}
