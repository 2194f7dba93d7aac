"""The library of a tenant, in Postgres. Fulfils `holdfast.knowledge.ports.Library`."""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge_asking import LibraryQuestions
from holdfast.adapters.postgres.knowledge_ingest import LibraryWriter
from holdfast.adapters.postgres.knowledge_jobs import LibraryJobs
from holdfast.adapters.postgres.knowledge_rows import COLUMNS, document_of, where_json
from holdfast.adapters.postgres.knowledge_search import LibraryReader
from holdfast.adapters.postgres.knowledge_state import state_of
from holdfast.adapters.postgres.knowledge_upkeep import LibraryKeeper
from holdfast.adapters.postgres.knowledge_vectors import CachedEmbedder
from holdfast.errors import NotFound
from holdfast.knowledge.ports import Embedder, QuestionWriter, Reranker
from schemas.knowledge import (
    Document,
    DocumentDraft,
    IngestReport,
    LibraryState,
    SearchFilter,
    SearchRequest,
    SearchResult,
)


class PostgresLibrary:
    """Without an embedder it finds by words alone, and says so."""

    def __init__(
        self,
        *,
        database: Database,
        embedder: Embedder | None = None,
        before: Embedder | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        """`before` answers questions until a library that is moving to `embedder` has arrived there."""
        cached = CachedEmbedder(database=database, embedder=embedder) if embedder else None
        older = CachedEmbedder(database=database, embedder=before) if before else None
        self._database = database
        self._writer = LibraryWriter(database=database, embedder=cached, before=older)
        self._reader = LibraryReader(
            database=database,
            embedders=[each for each in (cached, older) if each is not None],
            reranker=reranker,
        )
        self.jobs = LibraryJobs(database=database, writer=self._writer)
        self._keeper = LibraryKeeper(database=database, writer=self._writer)

    def questions(self, asker: QuestionWriter) -> LibraryQuestions:
        """The desk where a model is asked what passages answer."""
        return LibraryQuestions(database=self._database, writer=self._writer, asker=asker)

    async def ingest(
        self, tenant: str, drafts: Sequence[DocumentDraft], *, author: str, most: int | None = None
    ) -> IngestReport:
        """Of more passages than `most`, some documents are only named, as for `later`."""
        return await self._writer.ingest(tenant, drafts, author=author, most=most)

    async def sync(
        self,
        tenant: str,
        source: str,
        drafts: Sequence[DocumentDraft],
        *,
        author: str,
        kept: Sequence[str] = (),
    ) -> IngestReport:
        return await self._keeper.sync(tenant, source, drafts, author=author, kept=kept)

    async def remove(self, tenant: str, ids: Sequence[str]) -> int:
        return await self._keeper.remove(tenant, ids)

    async def restore(self, tenant: str, document_id: str, version: int, *, author: str) -> IngestReport:
        return await self._keeper.restore(tenant, document_id, version, author=author)

    async def search(self, tenant: str, request: SearchRequest) -> SearchResult:
        return await self._reader.search(tenant, request)

    async def read(self, tenant: str, document_id: str, version: int | None = None) -> Document:
        """The document with its text; of an older version, that version's words."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""select {COLUMNS}, v.content, v.version, v.digest, v.author
                    from knowledge_documents d join knowledge_versions v on v.document = d.key
                    where d.tenant = %s and d.id = %s and v.version = coalesce(%s, d.version)
                      and (d.deleted_at is null or %s::int is not null)""",
                (tenant, document_id, version, version),
            )
            row = await cursor.fetchone()
        if row is None:
            which = "" if version is None else f" version {version}"
            raise NotFound(
                f"There is no document {document_id!r}{which}.",
                remedy="`holdfast runbooks ls` lists them.",
                id=document_id,
            )
        return document_of({**row, **row["content"]})

    async def documents(
        self, tenant: str, where: SearchFilter | None = None, *, after: str = "", limit: int = 100
    ) -> Sequence[Document]:
        """The documents that pass, by id, without their text."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""select {COLUMNS} from knowledge_matching(%s) d where d.id > %s order by d.id limit %s""",
                (Jsonb(where_json(where or SearchFilter())), after, limit),
            )
            return [document_of(row) for row in await cursor.fetchall()]

    async def state(self, tenant: str) -> LibraryState:
        """How large it is, and how far a move to another model or the asking of questions has come."""
        async with self._database.tenant(tenant) as connection:
            return await state_of(connection)

    async def versions(self, tenant: str, document_id: str) -> Sequence[Document]:
        """Every version that ever stood, newest first, without text."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""select {COLUMNS}, v.version, v.digest, v.author, v.created_at as ingested_at
                    from knowledge_documents d join knowledge_versions v on v.document = d.key
                    where d.tenant = %s and d.id = %s order by v.version desc""",
                (tenant, document_id),
            )
            return [document_of(row) for row in await cursor.fetchall()]
