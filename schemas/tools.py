"""Tools: what a run can do, what each does to the world, and what a call brings back."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.base import Digest, JsonObject, Name, Payload
from schemas.canonical import digest_of
from schemas.sandbox import Isolation, Limits, NetworkPolicy

ToolName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_-]*)*$", max_length=120)
]
SemVer = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$")]


class EffectClass(StrEnum):
    """What a second call would do; it decides what happens after a crash between call and answer."""

    READ_ONLY = "read_only"
    IDEMPOTENT = "idempotent"
    PROBED = "probed"
    IRREVERSIBLE = "irreversible"


class Lane(StrEnum):
    """Where a tool runs: in a sandbox on the tools queue, or in process, for short and harmless reads."""

    SANDBOX = "sandbox"
    FAST = "fast"


class Permissions(Payload):
    """What the sandbox of a tool is given. Nothing is given by default."""

    limits: Limits = Limits()
    network: NetworkPolicy = NetworkPolicy()
    secrets: tuple[Name, ...] = ()
    host_read: tuple[str, ...] = Field(
        default=(), description="Host paths bound read-only, for tools of host facts."
    )


class ToolExample(Payload):
    title: str
    arguments: JsonObject = {}
    output: JsonObject | None = None


class ToolSpec(Payload):
    """One version of one tool, as a run sees it."""

    name: ToolName
    version: SemVer = "1.0.0"
    description: str = Field(min_length=1, max_length=4000)
    input_schema: JsonObject = {"type": "object"}
    output_schema: JsonObject = {}
    effect: EffectClass = EffectClass.IRREVERSIBLE
    lane: Lane = Lane.SANDBOX
    source: Literal["builtin", "manifest", "mcp"] = "builtin"
    payload: Literal["none", "shell", "python", "http", "sql", "file"] = Field(
        default="none", description="What kind of text its arguments carry, so that the guardian can read it."
    )
    idempotency_argument: str | None = None
    probe: ToolName | None = Field(
        default=None, description="The tool that tells whether a call has happened."
    )
    inverse: ToolName | None = Field(default=None, description="The tool that undoes a call.")
    permissions: Permissions = Permissions()
    timeout_s: float = Field(default=120, gt=0, le=3600)
    risk: Literal["low", "medium", "high"] = "low"
    owner: str = ""
    deprecated: str | None = Field(default=None, description="What to use instead.")
    examples: tuple[ToolExample, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def digest(self) -> Digest:
        return digest_of(self.model_dump(mode="json"))


class Catalogue(Payload):
    """The tools a run started with. Its digest says that nothing was changed under it."""

    tools: tuple[ToolSpec, ...] = ()

    @property
    def digest(self) -> Digest:
        return digest_of([tool.digest for tool in self.tools])

    def find(self, name: str) -> ToolSpec | None:
        """The tool of that name, or of that `name@version`."""
        return next((tool for tool in self.tools if name in (tool.name, tool.key)), None)


class ArtifactRef(Payload):
    """An output kept aside: too large for history."""

    digest: Digest
    size: int
    content_type: str = "application/json"


class ToolError(Payload):
    """Why a call did not do its work. `code` is stable; the message is for people and models."""

    code: str
    message: str
    remedy: str = ""


class ToolResult(Payload):
    """What one call brought back. `output` is small; what is larger stands in `artifact`, with a cut-down view here."""

    ok: bool
    output: JsonObject = {}
    summary: str = Field(default="", max_length=2000)
    error: ToolError | None = None
    artifact: ArtifactRef | None = None
    duration_ms: float = 0
    isolation: Isolation | None = None
    untrusted: bool = Field(
        default=True, description="The output holds text from outside: logs, pages, tickets."
    )
