"""What is done to documents that stand: sync with their source, move, remove, restore, lend an alert's words."""

# ruff: noqa: S608 -- only our own constants are written into SQL text

import time
from collections.abc import Sequence

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.adapters.postgres.knowledge_ingest import LibraryWriter, twice
from holdfast.adapters.postgres.knowledge_vectors import draft_of_row
from holdfast.errors import HoldfastError, NotFound
from holdfast.knowledge.ports import AT_ONCE
from holdfast.knowledge.reading import read_draft
from schemas.knowledge import DocumentDraft, IngestReport

_PAGE = 20
PATIENCE_S = 30.0
"""A sync that takes longer stops after a page: whoever asked is still there to ask again."""


class LibraryKeeper:
    def __init__(self, *, database: Database, writer: LibraryWriter, patience_s: float = PATIENCE_S) -> None:
        self._database = database
        self._writer = writer
        self._patience_s = patience_s

    async def sync(
        self,
        tenant: str,
        source: str,
        drafts: Sequence[DocumentDraft],
        *,
        author: str,
        kept: Sequence[str],
    ) -> IngestReport:
        """Make a source hold these documents and no others but those `kept` as they stand. A document under a new name is
        moved, not embedded again. What there is no time for is `left`: the same call goes on with it; what is large is for
        `later`.
        """
        since = time.monotonic()
        given, repeated = _once(source, drafts)
        moved = await self._follow_moves(tenant, source, given, kept)
        total = IngestReport(moved=moved, failures=tuple(twice(draft) for draft in repeated))
        for first in range(0, len(given), _PAGE):
            page = given[first : first + _PAGE]
            total = total.plus(await self._writer.ingest(tenant, page, author=author, most=AT_ONCE))
            left = len(given) - first - len(page)
            if left and total.added + total.changed and time.monotonic() - since > self._patience_s:
                return total.model_copy(update={"left": left})
        gone = await self._absent(tenant, source, given, kept)
        await self.remove(tenant, gone)
        return total.plus(IngestReport(removed=len(gone)))

    async def _absent(
        self, tenant: str, source: str, drafts: Sequence[DocumentDraft], kept: Sequence[str]
    ) -> list[str]:
        ids = [draft.id for draft in drafts]
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select id from knowledge_documents
                   where source = %s and deleted_at is null and not id = any(%s)
                     and not exists (select from unnest(%s::text[]) k where id = k or starts_with(id, k || '/'))
                   order by id""",
                (source, list(ids), list(kept)),
            )
            return [row["id"] for row in await cursor.fetchall()]

    async def _follow_moves(
        self, tenant: str, source: str, drafts: Sequence[DocumentDraft], kept: Sequence[str]
    ) -> int:
        """A document that vanished while the same text appeared under a new id has moved."""
        gone = await self._absent(tenant, source, drafts, kept)
        if not gone:
            return 0
        digests = {digest: draft.id for draft in drafts if (digest := _digest(draft))}
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select id, digest from knowledge_documents
                   where id = any(%s) and digest = any(%s) and deleted_at is null order by id for update""",
                (gone, list(digests)),
            )
            rows = await cursor.fetchall()
            return sum([await _rename(connection, row["id"], digests[row["digest"]]) for row in rows])

    async def remove(self, tenant: str, ids: Sequence[str]) -> int:
        """Take documents out of the search. Their versions stay, so that they can be brought back."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """update knowledge_documents set deleted_at = clock_timestamp(), digest = ''
                   where id = any(%s) and deleted_at is null returning key, chunks, length""",
                (list(ids),),
            )
            rows = await cursor.fetchall()
            keys = [row["key"] for row in rows]
            for table in ("knowledge_chunks", "knowledge_postings", "knowledge_vectors"):
                await connection.execute(f"delete from {table} where document = any(%s)", (keys,))
            await connection.execute(
                "select count_knowledge(%s, %s, %s)",
                (-len(rows), -sum(row["chunks"] for row in rows), -sum(row["length"] for row in rows)),
            )
        return len(keys)

    async def restore(self, tenant: str, document_id: str, version: int, *, author: str) -> IngestReport:
        """An older version, as a new one; also of a removed document."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select v.content from knowledge_versions v join knowledge_documents d on d.key = v.document
                   where d.id = %s and v.version = %s""",
                (document_id, version),
            )
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"There is no version {version} of {document_id!r}.", id=document_id)
        draft = draft_of_row({"id": document_id, "content": row["content"]})
        return await self._writer.ingest(tenant, [draft], author=author)


def _once(source: str, drafts: Sequence[DocumentDraft]) -> tuple[list[DocumentDraft], list[DocumentDraft]]:
    """As documents of this source, each id once; and those whose id another had before."""
    given: dict[str, DocumentDraft] = {}
    repeated: list[DocumentDraft] = []
    for draft in drafts:
        if draft.id in given:
            repeated.append(draft)
        else:
            given[draft.id] = draft.model_copy(update={"source": source})
    return list(given.values()), repeated


def _digest(draft: DocumentDraft) -> str | None:
    try:
        return read_draft(draft).document.digest
    except HoldfastError:
        return None


async def _rename(connection: Connection, old: str, new: str) -> bool:
    cursor = await connection.execute(
        """update knowledge_documents set id = %s
           where id = %s and not exists (select from knowledge_documents where id = %s)""",
        (new, old, new),
    )
    return cursor.rowcount > 0
