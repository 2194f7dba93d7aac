"""The words of the sandbox: what may be asked of it, what it answers, and how well it was held.

The request comes from people and programs outside, so every field is checked and nothing unknown is dropped. The
result is a payload: it crosses Temporal and Postgres, so its text is valid UTF-8 without NUL whatever the tool printed.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from schemas.base import Payload, Request


class Language(StrEnum):
    """What can run a program text."""

    SH = "sh"
    BASH = "bash"
    PYTHON = "python"


class SandboxStatus(StrEnum):
    """How a call ended. Only `ok` means that the tool ran to its end and exited with zero."""

    OK = "ok"
    ERROR = "error"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"
    OUTPUT_LIMIT = "output_limit"
    REFUSED = "refused"
    SANDBOX_ERROR = "sandbox_error"


class StrictRequest(Request):
    """A number written as text is a mistake of the caller, not a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, lt=2**31)]
Names = Annotated[tuple[str, ...], Field(strict=False)]
"""A list of texts. JSON has no tuples, and Postgres and Temporal give lists back."""


class Limits(StrictRequest):
    """What a whole process tree may use. The defaults suit one tool call of an agent."""

    wall_s: Seconds = 120.0
    cpu_s: Seconds = 120.0
    memory_mb: Count = 512
    pids: Count = 64
    disk_mb: Count = 1024
    inodes: Count = 20_000
    file_mb: Count = 64
    open_files: Count = 256
    output_kb: Count = 256


class SecretHeader(StrictRequest):
    """A secret the proxy adds to requests for one destination. Its value never enters the sandbox.

    The tool calls `http://{alias_host}/…`; the proxy forwards over TLS to `destination` with `header` set.
    """

    alias_host: str
    destination: str
    header: str
    secret_name: str


class NetworkPolicy(StrictRequest):
    """Where a tool may connect. `allow_cidrs` exempts named internal ranges from the ban on private addresses."""

    mode: Literal["none", "allowlist"] = "none"
    allow: Names = ()
    allow_cidrs: Names = ()
    secrets: Annotated[tuple[SecretHeader, ...], Field(strict=False)] = ()


class SandboxRequest(StrictRequest):
    """One program to run. Requests with one `run` share a workspace; without a `run` the workspace is thrown away."""

    run: str | None = None
    language: Language = Language.SH
    program: str
    argv: Names = ()
    stdin: str = ""
    limits: Limits = Limits()
    network: NetworkPolicy = NetworkPolicy()
    files: dict[str, str] = Field(default_factory=dict)
    collect: Names = ()

    @field_validator("program", "stdin")
    @classmethod
    def _is_text(cls, value: str) -> str:
        value.encode()  # a lone surrogate is not text: refused here, not in the middle of a call
        return value


class CollectedFile(Payload):
    """A file brought back, or why it was not. Exactly one of the two forms is written."""

    ok: bool = False
    b64: str | None = None
    error: str | None = None

    @model_serializer(mode="wrap")
    def _one_form(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        return {"ok": True, "b64": written["b64"]} if self.ok else {"error": written["error"]}


class Usage(Payload):
    """What the call used. A number that no layer could measure is absent."""

    wall_s: float = 0.0
    cpu_s: float | None = None
    memory_peak_bytes: int | None = None
    pids_peak: int | None = None
    disk_bytes: int | None = None
    inodes: int | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    not_kept: int = 0
    """Workspace entries that were not kept for the run's next call: pipes, sockets, names nested too deep."""


class NetworkDecision(Payload):
    """One connection the tool asked for, or several alike after the first two hundred, and what became of it."""

    host: str
    port: int
    verdict: Literal["allowed", "denied"]
    reason: str = ""
    method: str = ""
    address: str | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    connections: int = 1


class Isolation(Payload):
    """Which backend held the call, by which layers, and which of them were weaker than designed."""

    backend: str
    layers: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()


class SandboxResult(Payload):
    """What one call did. The exit status comes from the sandbox's own channel; tool output cannot forge it."""

    status: SandboxStatus
    exit_code: int | None = None
    signal: int | None = None
    stdout: str = ""
    stderr: str = ""
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    oom_killed: bool = False
    files: dict[str, CollectedFile] = Field(default_factory=dict)
    usage: Usage = Usage()
    network: tuple[NetworkDecision, ...] = ()
    isolation: Isolation
    error: str | None = None
    workspace: str | None = None


class LayerCheck(Payload):
    """One layer of the sandbox as the self-test found it."""

    name: str
    ok: bool
    required: bool = True
    detail: str = ""
    remedy: str = ""


class SandboxHealth(Payload):
    """Whether this machine can hold a tool. A missing required layer means that no tool is run."""

    backend: str
    healthy: bool
    checks: tuple[LayerCheck, ...] = ()
    degraded: tuple[str, ...] = ()
