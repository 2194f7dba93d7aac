"""Runbooks and other documents over HTTP."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal

from holdfast.client.wire import Wire
from schemas.base import JsonObject
from schemas.knowledge import Document, DocumentDraft, IngestReport, LibraryState, SearchRequest, SearchResult
from schemas.pages import Items
from schemas.shelf import Ingestion, LibraryJob, Removal

_A_CALL, _BYTES_A_CALL = 20, 100_000
_A_JOB, _BYTES_A_JOB = 2_000, 16_000_000
_PATIENCE_S = 600
"""Documents are embedded before they are answered for."""


class LibraryClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def all(self, *, filters: Mapping[str, Any] | None = None) -> AsyncIterator[Document]:
        """Every document that fits, without its text; the filters are the query parameters of GET /v1/runbooks."""
        async for document in self._wire.items("/v1/runbooks", Document, query=filters):
            yield document

    async def read(self, document_id: str, version: int | None = None) -> Document:
        query = {"id": document_id, "version": version}
        return Document.model_validate_json((await self._wire.ask("GET", "/v1/runbook", query=query)).content)

    async def versions(self, document_id: str) -> Sequence[Document]:
        response = await self._wire.ask("GET", "/v1/runbook/versions", query={"id": document_id})
        return Items[Document].model_validate_json(response.content).items

    async def add(self, drafts: Sequence[DocumentDraft]) -> AsyncIterator[IngestReport]:
        """Put documents in, as many a call as the server takes; what became of each call."""
        for page in _pages(drafts, most=_A_CALL, size=_BYTES_A_CALL):
            yield IngestReport.model_validate_json(await self._post("/v1/runbooks", {"documents": page}))

    async def sync(
        self, source: str, drafts: Sequence[DocumentDraft], *, kept: Sequence[str] = ()
    ) -> IngestReport:
        """Make a collection hold exactly these, and those `kept` as they stand; as many calls as that takes."""
        body: JsonObject = {"source": source, "documents": [_body(draft) for draft in drafts]}
        body |= {"kept": list(kept)} if kept else {}
        total = IngestReport()
        while True:
            report = IngestReport.model_validate_json(await self._post("/v1/runbooks/sync", body))
            total = _gone_on(total, report)
            if not report.left:
                return total

    async def ingest(self, drafts: Sequence[DocumentDraft]) -> AsyncIterator[Ingestion]:
        """Put documents down for workers to read, as many a call as the server takes; see `ingestion` for how far each is."""
        for page in _pages(drafts, most=_A_JOB, size=_BYTES_A_JOB):
            yield Ingestion.model_validate_json(await self._post("/v1/ingestions", {"documents": page}))

    async def ingestion(self, ingestion_id: str) -> Ingestion:
        response = await self._wire.ask("GET", f"/v1/ingestions/{ingestion_id}")
        return Ingestion.model_validate_json(response.content)

    async def state(self) -> LibraryState:
        """How large the library is, and how far its models are."""
        return LibraryState.model_validate_json((await self._wire.ask("GET", "/v1/library")).content)

    async def start(self, work: Literal["embed", "questions"]) -> LibraryJob:
        """Begin work on all of the library; `state` tells how far it is."""
        return LibraryJob.model_validate_json(await self._post("/v1/library-jobs", {"work": work}))

    async def search(self, request: SearchRequest) -> SearchResult:
        body = request.model_dump(mode="json", exclude_unset=True)
        return SearchResult.model_validate_json(await self._post("/v1/runbooks/search", body))

    async def remove(self, document_id: str) -> int:
        response = await self._wire.ask("DELETE", "/v1/runbook", query={"id": document_id})
        return Removal.model_validate_json(response.content).removed

    async def rollback(self, document_id: str, version: int) -> Document:
        body: JsonObject = {"id": document_id, "version": version}
        return Document.model_validate_json(await self._post("/v1/runbook/rollback", body))

    async def _post(self, path: str, body: JsonObject) -> bytes:
        return (await self._wire.post(path, body, patience_s=_PATIENCE_S)).content


def _gone_on(before: IngestReport, report: IngestReport) -> IngestReport:
    """A sync that went on: what an earlier call put in stands unchanged in a later one."""
    counts = ("added", "changed", "moved", "removed", "embedded")
    summed = {name: getattr(before, name) + getattr(report, name) for name in counts}
    unchanged = max(0, report.unchanged - before.added - before.changed)
    return report.model_copy(update={**summed, "unchanged": unchanged})


def _pages(drafts: Sequence[DocumentDraft], *, most: int, size: int) -> Iterator[list[JsonObject]]:
    page: list[JsonObject] = []
    held = 0
    for draft in drafts:
        length = len(draft.text.encode("utf-8", "replace"))
        if page and (len(page) == most or held + length > size):
            yield page
            page, held = [], 0
        page.append(_body(draft))
        held += length
    if page:
        yield page


def _body(draft: DocumentDraft) -> JsonObject:
    body: JsonObject = draft.model_dump(mode="json", exclude_defaults=True)
    return body
