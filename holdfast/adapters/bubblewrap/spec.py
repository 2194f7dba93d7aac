"""What a worker tells a keeper and what comes back: plain data, since the launcher's interpreter is bare."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Wire:
    """A frozen record that crosses the process boundary as JSON."""

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        return cls(**json.loads(data))


@dataclass(frozen=True)
class LauncherSpec(Wire):
    """How one launcher works, for all of its calls."""

    bwrap: str
    store: str
    readable: list[str] = field(default_factory=list)
    use_groups: bool = True
    one_call: bool = False
    """Nothing is made ahead for a call that will not come."""


@dataclass(frozen=True)
class LauncherReport(Wire):
    """What the launcher found on this machine."""

    groups: int = 0
    groups_missing: str = ""
    drops_uid: bool = False
    landlock: bool = False
    problem: str = ""


@dataclass(frozen=True)
class CallSpec(Wire):
    """One call, already checked against every ceiling."""

    workspace: str
    keep_workspace: bool
    language: str
    program: str
    argv: list[str]
    stdin: str
    limits: dict[str, Any]
    files: dict[str, str]
    collect: list[str]
    collect_bytes: int
    proxied: bool
    aliases: list[str]
    conversing: bool = False


@dataclass(frozen=True)
class CallReport(Wire):
    """What the keeper saw. `stopped_by` names the limit that ended the call, if one did."""

    problem: str = ""
    refusal: str = ""
    stopped_by: str = ""
    exit_code: int | None = None
    signal: int | None = None
    oom_kills: int = 0
    disk_full: bool = False
    cpu_spent: bool = False
    stdout: str = ""
    stderr: str = ""
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
