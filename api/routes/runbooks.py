"""Runbooks and other documents of the library: given, found, read, taken out and brought back. An id may hold slashes,
so it is named in the query."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.cursors import Cursor, Limit, page_by_key, place
from api.problems import documented
from api.routes.ingestion import put_down_later, refuse_foreign, refuse_foreign_drafts
from api.services import Caller, Held, Operation, Services
from api.shelf import refuse_to_reach_further, visible
from holdfast.errors import InvalidInput, NotFound
from holdfast.knowledge.ports import AT_ONCE
from holdfast.knowledge.sources import Found, read_bytes
from schemas.access import Principal
from schemas.knowledge import (
    Document,
    DocumentDraft,
    DocumentId,
    DocumentKind,
    IngestFailure,
    IngestReport,
    SearchFilter,
    SearchRequest,
    SearchResult,
)
from schemas.pages import Items, Page
from schemas.shelf import DocumentFile, DocumentRollback, FilesRequest, Removal, UploadRequest

router = APIRouter(prefix="/v1", tags=["runbooks"])

IdQuery = Annotated[DocumentId, Query(alias="id", description="The document's id.")]
VersionQuery = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="The newest, if not said.")]
Word = Annotated[str | None, Query(max_length=300)]


@router.get("/runbooks", responses=documented())
async def list_documents(
    held: Held,
    caller: Caller,
    limit: Limit = 50,
    cursor: Cursor = None,
    kind: Annotated[list[DocumentKind] | None, Query(description="Any of these.")] = None,
    source: Annotated[Word, Query(description="From one source.")] = None,
    component: Annotated[Word, Query(description="About one component.")] = None,
    tag: Annotated[Word, Query(description="With this tag.")] = None,
    *,
    runnable: Annotated[
        bool | None, Query(description="Whether its steps can be run without a model.")
    ] = None,
) -> Page[Document]:
    """Documents by id, without their text."""
    where = SearchFilter(
        kinds=tuple(kind or ()), source=source, component=component, tag=tag, runnable=runnable
    )
    library = await held.shelf.library()
    found = await library.documents(caller.tenant, where, after=place(cursor, str) or "", limit=limit + 1)
    items, following = page_by_key(found, limit, "id")
    shown = [document for document in items if visible(caller, document.environment)]
    return Page(items=shown, next=following)


@router.post("/runbooks", responses=documented(413, 415))
async def upload_documents(
    request: UploadRequest, response: Response, held: Held, caller: Caller, operation: Operation
) -> IngestReport:
    """Put documents in, or new versions of them. What stands there already is left alone; what cannot be read is told,
    and the rest goes in. What takes long to embed is put down for workers: 202, and `ingestion` says where."""
    return await _ingested(held, caller, request.documents, response, operation)


@router.post("/runbooks/files", responses=documented(413, 415))
async def upload_files(
    request: FilesRequest, response: Response, held: Held, caller: Caller, operation: Operation
) -> IngestReport:
    """Put files in as they are: Markdown, reStructuredText, HTML, text, PDF, alert rules. What cannot be read is told,
    and the rest goes in. What takes long to embed is put down for workers: 202, and `ingestion` says where."""
    found = await asyncio.to_thread(_read, request.files)
    report = await _ingested(held, caller, found.drafts, response, operation)
    return report.model_copy(update={"failures": (*found.failures, *report.failures)})


@router.post("/runbooks/search", responses=documented(413, 415))
async def search_documents(request: SearchRequest, held: Held, caller: Caller) -> SearchResult:
    """The documents that answer a question, each with the parts of its score, the words found and why."""
    found = await (await held.shelf.library()).search(caller.tenant, request)
    hits = tuple(hit for hit in found.hits if visible(caller, hit.document.environment))
    if len(hits) == len(found.hits):
        return found
    # How sure a search is follows from its first hit, which this caller may not be told.
    return found.model_copy(update={"hits": hits, "answered": False, "confidence": 0.0})


@router.get("/runbook", responses=documented(404))
async def read_document(
    document_id: IdQuery,
    held: Held,
    caller: Caller,
    version: VersionQuery = None,
) -> Document:
    """One document with its text, as it stands or as it stood."""
    return await _own(held, caller, document_id, version)


@router.get("/runbook/versions", responses=documented(404))
async def list_document_versions(document_id: IdQuery, held: Held, caller: Caller) -> Items[Document]:
    """Every version that ever stood, newest first, without text; also of a document that was taken out."""
    found = await (await held.shelf.library()).versions(caller.tenant, document_id)
    if not found or not visible(caller, found[0].environment):
        raise _unknown(document_id)
    return Items(items=found)


@router.delete("/runbook", responses=documented(404))
async def remove_document(document_id: IdQuery, held: Held, caller: Caller) -> Removal:
    """Take a document out of the search. Its versions stay, so that it can be brought back."""
    document = await _own(held, caller, document_id)
    refuse_to_reach_further(caller, document.environment)
    return Removal(removed=await (await held.shelf.library()).remove(caller.tenant, [document_id]))


@router.post("/runbook/rollback", responses=documented(404, 409, 413, 415))
async def roll_document_back(request: DocumentRollback, held: Held, caller: Caller) -> Document:
    """An older version as a new one; also of a document that was taken out."""
    old = await _own(held, caller, request.id, request.version)
    refuse_to_reach_further(caller, old.environment)
    await refuse_foreign(held, caller, request.id)
    library = await held.shelf.library()
    await library.restore(caller.tenant, request.id, request.version, author=caller.id)
    return await library.read(caller.tenant, request.id)


async def _ingested(
    held: Services,
    caller: Principal,
    drafts: Sequence[DocumentDraft],
    response: Response,
    operation: str | None,
) -> IngestReport:
    await refuse_foreign_drafts(held, caller, drafts)
    library = await held.shelf.library()
    report = await library.ingest(caller.tenant, drafts, author=caller.id, most=AT_ONCE)
    return await put_down_later(held, caller, drafts, report, response, operation)


def _read(files: Sequence[DocumentFile]) -> Found:
    found = Found()
    for file in files:
        one = _opened(file)
        found.drafts.extend(one.drafts)
        found.failures.extend(one.failures)
    return found


def _opened(file: DocumentFile) -> Found:
    try:
        data = base64.b64decode("".join(file.data.split()), validate=True)
    except ValueError:
        refused = InvalidInput(
            f"The data of {file.id} is no base64.", remedy="Encode its bytes: `base64 -w0`."
        )
        return Found(failures=[IngestFailure(id=file.id, code=refused.code, message=str(refused))])
    return read_bytes(file.id, data, source=file.source)


async def _own(held: Services, caller: Principal, document_id: str, version: int | None = None) -> Document:
    document = await (await held.shelf.library()).read(caller.tenant, document_id, version)
    if not visible(caller, document.environment):
        raise _unknown(document_id)
    return document


def _unknown(document_id: str) -> NotFound:
    return NotFound(f"There is no document {document_id!r}.", remedy="GET /v1/runbooks lists them.")
