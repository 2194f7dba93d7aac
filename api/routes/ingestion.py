"""Documents in numbers: a collection made to hold exactly these, a durable ingestion that workers carry out, and what
would be wrong with them before they go in."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.models import configured
from api.problems import documented
from api.services import Caller, Held, Operation, Services
from api.shelf import refuse_to_reach_further
from holdfast.errors import HoldfastError, NotFound
from holdfast.ids import new_id
from holdfast.knowledge.linting import lint_runbook
from holdfast.knowledge.reading import read_draft
from holdfast.llm.remarks import require_model
from schemas.access import Principal
from schemas.chat import TaskClass
from schemas.knowledge import DocumentDraft, DocumentKind, IngestJob, IngestReport, LibraryState
from schemas.pages import Items
from schemas.shelf import (
    Ingestion,
    IngestionRequest,
    LibraryJob,
    LibraryJobRequest,
    LintReport,
    LintRequest,
    SyncRequest,
)

router = APIRouter(prefix="/v1", tags=["runbooks"])

IngestionPath = Annotated[str, Path(pattern=r"^ing_[0-9a-z]{20,40}$", description="The id of the ingestion.")]


@router.post("/runbooks/sync", responses=documented(413, 415))
async def sync_documents(
    request: SyncRequest, response: Response, held: Held, caller: Caller, operation: Operation
) -> IngestReport:
    """Make a collection hold exactly these documents. What is unchanged is not embedded again, what moved is followed,
    and what is not named is taken out. What is large is put down for workers: 202, and `ingestion` says where."""
    library = await held.shelf.library()
    report = await library.sync(
        caller.tenant, request.source, request.documents, author=caller.id, kept=request.kept
    )
    if report.left:  # the same call once more will name them again
        return report.model_copy(update={"later": ()})
    drafts = [draft.model_copy(update={"source": request.source}) for draft in request.documents]
    return await put_down_later(held, caller, drafts, report, response, operation)


@router.post("/runbooks/lint", responses=documented(413, 415))
async def lint_documents(request: LintRequest) -> Items[LintReport]:
    """What keeps documents from running, or may surprise whoever runs them. Nothing is stored."""
    return Items(items=await asyncio.to_thread(_linted, request.documents))


@router.post("/ingestions", status_code=202, responses=documented(413, 415))
async def start_ingestion(
    request: IngestionRequest, response: Response, held: Held, caller: Caller, operation: Operation
) -> Ingestion:
    """Put documents down, to be read by knowledge workers. Once this is answered, they are read, whatever crashes."""
    await refuse_foreign_drafts(held, caller, request.documents)
    return await _standing(
        held, caller, await _put_down(held, caller, request.documents, response, operation)
    )


@router.get("/library", responses=documented())
async def read_library(held: Held, caller: Caller) -> LibraryState:
    """How large the library is, and how far a move to another model or the asking of questions has come."""
    return await (await held.shelf.library()).state(caller.tenant)


@router.post("/library-jobs", status_code=202, responses=documented(409, 413, 415))
async def start_library_job(
    request: LibraryJobRequest, held: Held, caller: Caller, operation: Operation
) -> LibraryJob:
    """Begin work on all of the library: it goes on through crashes, while the library answers as before. Questions that no
    model may be asked are refused."""
    if request.work == "questions":
        require_model(TaskClass.SUMMARISE, await configured(held))
    job = new_id("job") if operation is None else f"job_{operation.removeprefix('sha256:')[:32]}"
    await held.engine.ingest(_job(held, caller, job).model_copy(update={"work": request.work}))
    return LibraryJob(id=job, work=request.work)


@router.get("/ingestions/{ingestion_id}", responses=documented(404))
async def read_ingestion(ingestion_id: IngestionPath, held: Held, caller: Caller) -> Ingestion:
    """How many documents were read, and how many are left."""
    return await _standing(held, caller, ingestion_id)


async def put_down_later(
    held: Services,
    caller: Principal,
    drafts: Sequence[DocumentDraft],
    report: IngestReport,
    response: Response,
    operation: str | None,
) -> IngestReport:
    """What a call left for later, put down for workers; the report says where."""
    if not report.later:
        return report
    large = {draft.id: draft for draft in reversed(drafts) if draft.id in set(report.later)}
    response.status_code = 202
    job = await _put_down(held, caller, list(large.values()), response, operation)
    return report.model_copy(update={"ingestion": job})


async def _put_down(
    held: Services,
    caller: Principal,
    drafts: Sequence[DocumentDraft],
    response: Response,
    operation: str | None,
) -> str:
    job = new_id("ing") if operation is None else f"ing_{operation.removeprefix('sha256:')[:32]}"
    await (await held.shelf.library()).jobs.stage(caller.tenant, job, drafts)
    await held.engine.ingest(_job(held, caller, job))
    response.headers["Location"] = f"/v1/ingestions/{job}"
    return job


def _job(held: Services, caller: Principal, job: str) -> IngestJob:
    rest = held.settings.knowledge.ingestion_rest_s
    return IngestJob(tenant=caller.tenant, job=job, author=caller.id, pause_s=rest)


async def _standing(held: Services, caller: Principal, job: str) -> Ingestion:
    jobs = (await held.shelf.library()).jobs
    found = await jobs.progress(caller.tenant, job)
    if not found.done and not found.left:
        raise NotFound(f"There is no ingestion {job}.")
    failures = await jobs.failures(caller.tenant, job) if found.outcomes.get("failed") else ()
    return Ingestion(id=job, failures=tuple(failures), **found.model_dump())


def _linted(drafts: Sequence[DocumentDraft]) -> list[LintReport]:
    return [
        LintReport(id=draft.id, findings=tuple(lint_runbook(draft.id, draft.text, media=draft.media)))
        for draft in drafts
        if draft.kind is DocumentKind.RUNBOOK
    ]


async def refuse_foreign_drafts(held: Services, caller: Principal, drafts: Sequence[DocumentDraft]) -> None:
    """Each must hold where the caller may write, and what stands under its id as well."""
    if caller.environments is None:
        return
    for draft in drafts:
        refuse_to_reach_further(caller, await asyncio.to_thread(_environment_of, draft))
        await refuse_foreign(held, caller, draft.id)


async def refuse_foreign(held: Services, caller: Principal, document_id: str) -> None:
    """What stands under this id must be the caller's to change as well."""
    if caller.environments is None:
        return
    standing = await (await held.shelf.library()).versions(caller.tenant, document_id)
    if standing:
        refuse_to_reach_further(caller, standing[0].environment)


def _environment_of(draft: DocumentDraft) -> str:
    """Where it will hold: its front matter may say. What cannot be read goes nowhere."""
    try:
        return read_draft(draft).document.environment
    except HoldfastError:
        return draft.environment
