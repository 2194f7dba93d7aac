"""What retrieval needs of the world: a place where documents are kept and found, and something that embeds text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from schemas.knowledge import (
    Document,
    DocumentDraft,
    IngestJob,
    IngestProgress,
    IngestReport,
    SearchHit,
    SearchRequest,
    SearchResult,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vectors: TypeAlias = "NDArray[np.float32]"
"""In words, because most processes name these ports and hold no vector: numpy is a fifth of a second at each start."""

AT_ONCE = 300
"""So many passages are embedded while somebody waits, which is half a minute's work; more are put down for workers."""


class Embedder(Protocol):
    """Turns texts into unit vectors. Two embedders of one `model` give the same vectors."""

    @property
    def model(self) -> str: ...
    @property
    def dimensions(self) -> int: ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row for each text, of length one."""
        ...

    async def close(self) -> None: ...


class Library(Protocol):
    """The documents of every tenant. Writing the same document twice changes nothing."""

    async def ingest(self, tenant: str, drafts: Sequence[DocumentDraft], *, author: str) -> IngestReport: ...
    async def search(self, tenant: str, request: SearchRequest) -> SearchResult: ...
    async def read(self, tenant: str, document_id: str, version: int | None = None) -> Document: ...


class IngestDesk(Protocol):
    """Works off a durable ingestion, page by page."""

    async def page(self, job: IngestJob) -> IngestProgress: ...
    async def finish(self, job: IngestJob) -> IngestProgress: ...


class QuestionDesk(Protocol):
    """Has a model think of questions, document by document."""

    async def page(self, job: IngestJob) -> IngestProgress: ...


class Reranker(Protocol):
    """Puts the best hits of a search in a better order; a model, where one is at hand."""

    async def rerank(self, query: str, hits: Sequence[SearchHit]) -> Sequence[float]:
        """One score for each hit, in their order; more is better."""
        ...

    async def close(self) -> None: ...


class QuestionWriter(Protocol):
    """Thinks of what people would ask that a passage answers; a model, where one is at hand."""

    async def questions(self, tenant: str, title: str, passages: Sequence[str]) -> Sequence[Sequence[str]]:
        """For each passage, its questions; none where it answers nothing."""
        ...
