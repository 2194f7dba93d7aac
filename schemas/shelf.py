"""What the doors to runbooks and memory take, beyond what both already have words for."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.base import JsonObject, Labels, Moment, Name, Payload, Request, strictly
from schemas.knowledge import DocumentDraft, DocumentId, IngestFailure, IngestProgress, LintFinding
from schemas.memory import MemoryId, MemoryItem, MemoryScope, Signature

Reason = Annotated[str, StringConstraints(max_length=1000)]


class UploadRequest(Request):
    """Documents for the library. Each that can be read goes in; the others are told, with why."""

    documents: tuple[DocumentDraft, ...] = Field(min_length=1, max_length=50)


class DocumentFile(Request):
    """A file as it is. The end of its id says what it is: Markdown without one, and a PDF whatever its name."""

    id: DocumentId
    data: str = Field(description="Its bytes, in base64.", json_schema_extra={"format": "base64"})
    source: str = Field(default="", max_length=300, description="The collection it belongs to.")


class FilesRequest(Request):
    """Files for the library. Each that can be read goes in; the others are told, with why."""

    files: tuple[DocumentFile, ...] = Field(min_length=1, max_length=50)


class SyncRequest(Request):
    """All that a collection is to hold, and nothing else of it."""

    source: str = Field(min_length=1, max_length=300, description="The collection.")
    documents: tuple[DocumentDraft, ...] = Field(max_length=5000)
    kept: tuple[DocumentId, ...] = Field(
        default=(),
        max_length=5000,
        description="What stays as it stands: files that could not be read just now.",
    )


class IngestionRequest(Request):
    """Documents that are put down now and read by workers, through crashes and restarts."""

    documents: tuple[DocumentDraft, ...] = Field(min_length=1, max_length=5000)


class Ingestion(IngestProgress):
    """A durable ingestion and where it stands. It is over when nothing is left."""

    id: str
    failures: tuple[IngestFailure, ...] = Field(
        default=(), description="Of the documents that could not be read, the first hundred."
    )


class LibraryJobRequest(Request):
    """Work on the whole library: vectors under the model that is set, or questions that its passages answer."""

    work: Literal["embed", "questions"]


class LibraryJob(Payload):
    """Work that has begun. `GET /v1/library` tells how far it is."""

    id: str
    work: Literal["embed", "questions"]


class LintRequest(Request):
    documents: tuple[DocumentDraft, ...] = Field(min_length=1, max_length=200)


class LintReport(Payload):
    """What keeps one document from running, or may surprise whoever runs it."""

    id: DocumentId
    findings: tuple[LintFinding, ...] = ()


class DocumentRollback(Request):
    id: DocumentId
    version: int = Field(ge=1, le=2**31 - 1)


class Removal(Payload):
    """How many documents were taken out of the search."""

    removed: int


class RecallQuery(Request):
    """What a run would have to go by."""

    text: str = Field(min_length=1, max_length=4000, description="The goal, in the words of a run.")
    runbooks: tuple[str, ...] = Field(default=(), max_length=20)
    alert: str = Field(default="", max_length=300)
    tools: tuple[str, ...] = Field(default=(), max_length=50)
    programs: tuple[str, ...] = Field(
        default=(), max_length=50, description="What commands run, such as `kubectl drain`."
    )
    error: str = Field(default="", max_length=100)
    agent: str = Field(default="", max_length=64)
    environment: str = Field(default="", max_length=64)
    thread: str = Field(default="", max_length=120)
    labels: Labels = Field(default={}, description="Of the run; an item with labels needs them all.")


class MemoryEdit(Request):
    """The fields to change, and why. What is not said stays."""

    text: str = Field(default="", min_length=1, max_length=8000)
    data: JsonObject = {}
    signature: Annotated[Signature, strictly(Signature)] = Signature()
    scope: Annotated[MemoryScope, strictly(MemoryScope)] = MemoryScope()
    confidence: float = Field(default=0.8, ge=0, le=1)
    importance: float = Field(default=0.5, ge=0, le=1)
    valid_from: Moment | None = None
    valid_to: Moment | None = None
    expires_at: Moment | None = None
    pinned: bool = False
    reason: Reason = "corrected"

    @property
    def changes(self) -> JsonObject:
        return self.model_dump(exclude_unset=True, exclude={"reason"})


class MemoryJudgement(Request):
    """Why an item is confirmed or rejected."""

    reason: Reason = ""


class MemoryRollback(Request):
    version: int = Field(ge=1, le=2**31 - 1)


class SnapshotRequest(Request):
    """A name for this moment."""

    name: Name
    note: str = Field(default="", max_length=500)


class MemoryImport(Request):
    """Items as an export has them."""

    items: tuple[Annotated[MemoryItem, strictly(MemoryItem)], ...] = Field(min_length=1, max_length=5000)


class MemoryRestore(Request):
    """A point in time to bring all memory back to."""

    at: Moment


class Changed(Payload):
    """How many items a command changed."""

    changed: int


class Imported(Payload):
    """How many items were read; what stood already was left alone."""

    read: int


class Forgotten(Payload):
    """The items that were really deleted: those meant, and what was derived from them."""

    ids: tuple[MemoryId, ...]


class RunFeedback(Request):
    """What a person says about a run, or about one thing it was told."""

    verdict: Literal["up", "down"] | None = None
    comment: str = Field(default="", max_length=4000)
    correction: str = Field(
        default="", max_length=4000, description="What it should have known; stored as a lesson."
    )
    item: MemoryId | None = Field(
        default=None, description="The item meant; otherwise all the run was given."
    )
