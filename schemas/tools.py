"""Tools: what a run can do, what each does to the world, and what a call brings back."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.base import Digest, JsonObject, Name, Payload, Request, strictly
from schemas.canonical import digest_of
from schemas.digested import Digested
from schemas.sandbox import Isolation, Language, Limits, NetworkPolicy

ToolName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_-]*)*$", max_length=120)
]
SemVer = Annotated[
    str,
    StringConstraints(
        pattern=r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$",
        max_length=100,
    ),
]


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


class ExampleCall(Payload):
    """A call that an example is preceded by."""

    tool: ToolName
    arguments: JsonObject = {}


class ToolExample(Payload):
    title: str
    arguments: JsonObject = {}
    output: JsonObject | None = None
    first: tuple[ExampleCall, ...] = Field(
        default=(),
        max_length=10,
        exclude_if=lambda first: not first,
        description="Calls made before it in the same run, such as those that lay out its files.",
    )
    needs: str = Field(
        default="",
        max_length=200,
        exclude_if=lambda needs: not needs,
        description="What has to be there that no call can lay out, such as a host; it is tried only when asked for.",
    )


class ToolSpec(Digested):
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
    way: Digest | None = Field(
        default=None, description="The digest of how it is run, where that is not this program's own code."
    )

    @property
    def key(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def warning(self) -> str:
        """What whoever uses it should hear; nothing where it is current."""
        return f"{self.key} is deprecated: {self.deprecated}" if self.deprecated else ""

    @property
    def fast(self) -> bool:
        """Whether a call may be made where it is judged."""
        return self.lane is Lane.FAST and self.effect is EffectClass.READ_ONLY

    def said(self) -> JsonObject:
        """A version that is deprecated later is still the version that runs have pinned."""
        said = self.model_dump(mode="json", exclude={"way"} if self.way is None else set())
        return said | {"deprecated": None}


class ToolCommand(Request):
    """How a tool of a manifest is run: a command, a program's text, or a tool of ours under other permissions."""

    command: tuple[str, ...] = Field(
        default=(),
        max_length=100,
        description="A program and its arguments; `{name}` stands for an argument of the call.",
    )
    program: str = Field(default="", max_length=200_000, description="Or a program's text.")
    language: Language = Language.SH
    builtin: ToolName | None = Field(default=None, description="Or a tool that ships with Holdfast.")
    image: str = Field(default="", max_length=300, description="The container image to run it in.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(map(bool, (self.command, self.program, self.builtin))) != 1:
            raise ValueError("say exactly one of command, program and builtin")
        if self.builtin and self.image:
            raise ValueError("a builtin runs in no image of its own")
        return self


class ToolManifest(Request):
    """A tool as an operator writes it down, in YAML. The call's arguments come to it on stdin, as one JSON object."""

    name: ToolName
    version: SemVer
    description: str = Field(min_length=1, max_length=4000)
    run: ToolCommand
    input: JsonObject = Field(default={"type": "object"}, description="JSON schema of the arguments.")
    output: JsonObject = Field(default={}, description="JSON schema of the object it prints.")
    effect: EffectClass = EffectClass.IRREVERSIBLE
    payload: Literal["none", "shell", "python", "http", "sql", "file"] = "none"
    idempotency_argument: str | None = Field(
        default=None, description="The argument that a key is put into, the same for every repetition."
    )
    probe: ToolName | None = Field(
        default=None, description="The tool that tells whether a call has happened."
    )
    inverse: ToolName | None = None
    permissions: Annotated[Permissions, strictly(Permissions)] = Permissions()
    timeout_s: float = Field(default=120, gt=0, le=3600)
    risk: Literal["low", "medium", "high"] = "low"
    owner: str = Field(default="", max_length=200)
    deprecated: str | None = Field(default=None, max_length=500)
    examples: tuple[Annotated[ToolExample, strictly(ToolExample)], ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.effect is EffectClass.PROBED) != (self.probe is not None):
            raise ValueError("effect `probed` and `probe` belong together")
        return self


class Catalogue(Digested):
    """The tools a run started with. Its digest says that nothing was changed under it."""

    tools: tuple[ToolSpec, ...] = ()

    @cached_property
    def digest(self) -> Digest:
        return digest_of([tool.digest for tool in self.tools])

    def allowed(self, patterns: Sequence[str]) -> "Catalogue":
        """The tools an agent may use: by name, by `name@version`, or by a prefix that ends in `*`."""
        return Catalogue(tools=tuple(tool for tool in self.tools if _matches(tool, patterns)))

    def find(self, name: str) -> ToolSpec | None:
        """The tool of that name, or of that `name@version`."""
        return next((tool for tool in self.tools if name in (tool.name, tool.key)), None)


def _matches(tool: ToolSpec, patterns: Sequence[str]) -> bool:
    return any(
        tool.name.startswith(pattern[:-1]) if pattern.endswith("*") else pattern in (tool.name, tool.key)
        for pattern in patterns
    )


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


class ToolState(Payload):
    """A tool as discovery shows it."""

    spec: ToolSpec
    offered: bool = Field(default=True, description="New runs see it: not withdrawn, and enabled there.")
    disabled_in: tuple[str, ...] = Field(default=(), description="Environments; `*` is all of them.")
    published_at: datetime | None = None
    seen_at: datetime | None = None
    withdrawn_at: datetime | None = None


class ToolSwitch(Request):
    """Turns a tool on or off for this tenant."""

    enabled: bool
    environment: Name | Literal["*"] = Field(default="*", description="`*` is every environment.")


class ToolProblem(Payload):
    """A manifest or a server that a worker refused. What stood before it still stands."""

    source: str
    problem: str
    worker: str = ""
    at: datetime


class ToolUse(Payload):
    """How one version of a tool fared in a time."""

    tool: str
    version: str
    calls: int
    succeeded: int
    failed: int
    unknown: int
    failures: dict[str, int] = Field(default={}, description="Failed calls by the code of their error.")
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    last_used_at: datetime | None = None


class ToolCallRequest(Request):
    """One call, as a run of one step: judged, recorded and stopped like any other."""

    arguments: JsonObject = {}
    environment: Name = "dev"
