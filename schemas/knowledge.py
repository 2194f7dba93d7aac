"""Runbooks and other documents: how they are given, cut, found, and, where they say how, run."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.base import Digest, JsonObject, Name, Payload, Request, StepId

DocumentId = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,299}$")]
"""A document's name inside its tenant: a path or a slug, chosen by whoever brings it."""

Media = Literal["markdown", "rest", "html", "text", "pdf"]


class DocumentKind(StrEnum):
    """A runbook tells what to do; an alert rule lends its words to the runbook it names; a note is read only."""

    RUNBOOK = "runbook"
    ALERT_RULE = "alert_rule"
    NOTE = "note"


class DocumentDraft(Request):
    """A document as somebody brings it. What is not said here is read from its front matter or its first heading."""

    id: DocumentId
    text: str
    media: Media = "markdown"
    kind: DocumentKind = DocumentKind.RUNBOOK
    title: str | None = Field(default=None, max_length=300)
    source: str = Field(default="", max_length=300, description="The collection it belongs to.")
    component: str = Field(default="", max_length=200)
    environment: str = Field(default="", max_length=64, description="Where it holds; empty means everywhere.")
    alert: str = Field(default="", max_length=300, description="The alert it answers, or states.")
    owner: str = Field(default="", max_length=200)
    uri: str = Field(default="", max_length=2000)
    tags: tuple[str, ...] = ()
    questions: tuple[str, ...] = Field(default=(), max_length=50, description="Questions it answers.")
    updated_at: datetime | None = None


class Document(Payload):
    """A document as it stands in the library."""

    id: str
    version: int
    digest: Digest
    title: str
    kind: DocumentKind = DocumentKind.RUNBOOK
    media: Media = "markdown"
    source: str = ""
    component: str = ""
    environment: str = ""
    alert: str = ""
    owner: str = ""
    uri: str = ""
    tags: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    runnable: bool = False
    chunks: int = 0
    text: str = Field(default="", description="Empty in lists.")
    author: str = ""
    updated_at: datetime | None = None
    ingested_at: datetime | None = None
    deleted: bool = False


class Chunk(Payload):
    """A passage under one heading. `start` and `end` are its exact place in the text of the document."""

    position: int
    path: tuple[str, ...] = Field(default=(), description="The headings above it, outermost first.")
    start: int
    end: int
    text: str
    code: bool = False
    digest: Digest


class SearchFilter(Payload):
    """What a hit must be. Each that is said must hold."""

    kinds: tuple[DocumentKind, ...] = ()
    source: str | None = None
    component: str | None = None
    environment: str | None = Field(
        default=None, description="Documents of this environment, or of every one."
    )
    tag: str | None = None
    owner: str | None = None
    alert: str | None = None
    runnable: bool | None = None
    updated_after: datetime | None = None
    ids: tuple[str, ...] = ()


class SearchRequest(Request):
    query: str = Field(min_length=1, max_length=4000)
    limit: int = Field(default=10, ge=1, le=100)
    where: SearchFilter = SearchFilter()
    signals: Literal["hybrid", "lexical", "dense"] = "hybrid"
    diverse: bool = Field(default=False, description="Push back documents that say the same as a better one.")


class Signal(Payload):
    """One signal's part in a score: what it measured, and what it added."""

    name: Literal["lexical", "dense", "rerank"]
    raw: float
    share: float


class SearchHit(Payload):
    document: Document
    score: float
    signals: tuple[Signal, ...] = ()
    section: tuple[str, ...] = ()
    snippet: str = ""
    start: int = 0
    end: int = 0
    words: tuple[str, ...] = Field(default=(), description="Words of the query found in it.")
    why: str = ""


class SearchResult(Payload):
    """Hits, and how sure it is that the first of them answers."""

    hits: tuple[SearchHit, ...] = ()
    confidence: float = 0
    answered: bool = False
    model: str | None = Field(default=None, description="The embedding model asked; none means words alone.")
    note: str = ""


class IngestFailure(Payload):
    id: str
    code: str
    message: str


class IngestReport(Payload):
    """What one call changed. Documents that could not be read are listed; the rest went in."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    chunks: int = Field(default=0, description="Chunks of the documents given.")
    embedded: int = Field(default=0, description="Of these, chunks whose text had no embedding yet.")
    left: int = Field(default=0, description="Documents of a sync that wait for the same call once more.")
    later: tuple[DocumentId, ...] = Field(
        default=(), description="Documents that were put down for workers, because embedding them takes long."
    )
    ingestion: str | None = Field(
        default=None, description="Where these are: `GET /v1/ingestions/{id}` tells how far they are."
    )
    failures: tuple[IngestFailure, ...] = ()

    def plus(self, other: "IngestReport") -> "IngestReport":
        """Two calls as one. Where both put documents down, the place of the later ones is told."""
        summed = {
            name: getattr(self, name) + getattr(other, name)
            for name in type(self).model_fields
            if name != "ingestion"
        }
        return IngestReport(**summed, ingestion=other.ingestion or self.ingestion)


class IngestJob(Payload):
    """A durable piece of work on a library: staged documents to read, all of it to embed under another model, or
    questions to think of that its passages answer."""

    tenant: Name
    job: str
    author: str = ""
    work: Literal["ingest", "embed", "questions"] = "ingest"
    page: int = Field(default=25, ge=1, le=500)
    pages: int = Field(default=0, description="Done in earlier runs of the workflow.")
    pause_s: float = Field(
        default=0, ge=0, le=60, description="Rest between pages, for an endpoint with a limit."
    )


class IngestProgress(Payload):
    """Where a job stands."""

    done: int = 0
    left: int = 0
    outcomes: dict[str, int] = {}
    passages: int = Field(default=0, description="Texts to embed of the documents that are being read now.")
    embedded: int = Field(default=0, description="Of these, how many are.")


class LibraryModel(Payload):
    """An embedding model a library knows, and how many documents have their vectors under it."""

    model: str
    dimensions: int
    state: Literal["building", "active", "retired"] = Field(
        description="`active` answers; `building` is on its way."
    )
    documents: int = 0


class LibraryState(Payload):
    """How large a library is, and how far its models are."""

    documents: int = 0
    chunks: int = 0
    models: tuple[LibraryModel, ...] = ()
    unasked: int = Field(default=0, description="Runbooks about which no model has been asked for questions.")


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class LintFinding(Payload):
    """Something that keeps a runbook from running, or may surprise whoever runs it."""

    code: str
    message: str
    severity: Severity = Severity.ERROR
    line: int | None = None


class RunbookInput(Payload):
    """One value a runbook needs before it can run."""

    name: StepId
    type: Literal["text", "integer", "number", "boolean", "path", "host", "service"] = "text"
    description: str = ""
    required: bool = True
    default: JsonObject | str | int | float | bool | None = None
    pattern: str | None = None
    choices: tuple[str, ...] = ()


BlockKind = Literal["shell", "python", "http", "sql", "tool", "approval", "wait"]
Risk = Literal["none", "low", "medium", "high"]


class RunbookStep(Payload):
    """One fenced block of a runbook, with its attributes."""

    id: StepId
    block: BlockKind
    body: str
    line: int
    title: str = ""
    section: str = ""
    tool: str | None = None
    needs: tuple[StepId, ...] | None = Field(default=None, description="None: the step before it.")
    risk: Risk = "none"
    output: Literal["text", "lines", "json"] = "text"
    expect: str | None = Field(
        default=None, description="In words for people; or, where it reads `${output…}`, a condition."
    )
    when: str | None = None
    for_each: str | None = None
    timeout_s: float | None = None
    attempts: int = 1
    on_error: Literal["fail", "continue", "replan"] = "fail"
    group: Name = "operators"
    arguments: JsonObject = {}

    @property
    def condition(self) -> str | None:
        return self.expect if self.expect and "${output" in self.expect else None


class RunnableRunbook(Payload):
    """A runbook whose steps a machine can take."""

    id: str
    version: int | None = None
    title: str
    summary: str = ""
    inputs: tuple[RunbookInput, ...] = ()
    environments: tuple[str, ...] = Field(default=(), description="Where it may run; empty means everywhere.")
    preconditions: tuple[str, ...] = ()
    verification: tuple[str, ...] = ()
    steps: tuple[RunbookStep, ...] = ()
    answer: str | None = None
    annotated: bool = Field(default=True, description="Its author meant it to be run; plain Markdown is not.")
