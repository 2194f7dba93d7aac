"""A library and a memory as the settings say, for every process that has one: API, workers, commands."""

from dataclasses import dataclass

import structlog

from holdfast.adapters.embedding.choice import embedder_for
from holdfast.adapters.embedding.reranking import HttpReranker
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.knowledge.ports import Embedder, Reranker
from holdfast.runtime.settings import KnowledgeSettings
from schemas.memory import MemoryStatus, RecallSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Models:
    """What reads for us: the embedder, the one before it, and a reranker, where there is one."""

    embedder: Embedder | None
    before: Embedder | None = None
    reranker: Reranker | None = None

    async def close(self) -> None:
        for each in (self.embedder, self.before, self.reranker):
            if each is not None:
                await each.close()


@dataclass(frozen=True)
class Shelf:
    library: PostgresLibrary
    memory: PostgresMemory
    models: Models


def models_of(settings: KnowledgeSettings) -> Models:
    """Loads weights: not on an event loop that serves."""
    key = settings.embedding_key.get_secret_value() if settings.embedding_key else None
    embedder = embedder_for(
        settings.embedding,
        key=key,
        base_url=settings.embedding_url,
        dimensions=settings.embedding_dimensions,
        folder=settings.embedding_folder,
    )
    if embedder is None and settings.embedding != "none":
        log.warning("embedding_model_missing", model=settings.embedding, effect="search goes by words alone")
    before = None
    if settings.embedding_before:
        before = embedder_for(
            settings.embedding_before,
            key=key,
            base_url=settings.embedding_before_url or settings.embedding_url,
            dimensions=settings.embedding_before_dimensions,
            folder=settings.embedding_folder,
        )
    return Models(
        embedder,
        before=before,
        reranker=_reranker(settings),
    )


def shelf_of(
    database: Database,
    settings: KnowledgeSettings,
    models: Models,
) -> Shelf:
    library = PostgresLibrary(
        database=database,
        embedder=models.embedder,
        before=models.before,
        reranker=models.reranker,
    )
    memory = PostgresMemory(
        database=database,
        embedder=models.embedder,
        library=library,
        settings=RecallSettings(
            recency_weight=settings.recency_weight, half_life_days=settings.half_life_days
        ),
        new_lessons=MemoryStatus(settings.new_lessons),
        token_budget=settings.recall_tokens,
    )
    return Shelf(library, memory, models)


def _reranker(settings: KnowledgeSettings) -> Reranker | None:
    if settings.rerank_url is None:
        return None
    key = settings.rerank_key.get_secret_value() if settings.rerank_key else None
    return HttpReranker(url=settings.rerank_url, model=settings.rerank_model, key=key)
