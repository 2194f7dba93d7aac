"""`sys.logs`: the end of a log file below /var/log."""

import asyncio
import os
from pathlib import Path

from pydantic import Field

from holdfast.errors import InvalidInput, NotFound
from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload, Request
from schemas.tools import EffectClass, ToolExample

_LOG_ROOTS = (Path("/var/log"),)
_REMEDY = "Name a file below /var/log; sys.usage with path=/var/log shows the largest."


class LogQuery(Request):
    path: str = Field(
        default="", max_length=1024, description="A file below /var/log; the system's log without it."
    )
    lines: int = Field(default=100, ge=1, le=2000)
    contains: str = Field(default="", max_length=200, description="Only lines with this text.")


class LogLines(Payload):
    path: str
    size_bytes: int
    lines: tuple[str, ...]

    def told(self) -> str:
        return f"{len(self.lines)} lines of {self.path}"


@declared(
    "sys.logs",
    version="1.0.2",
    effect=EffectClass.READ_ONLY,
    timeout_s=20,
    payload="file",
    examples=(
        ToolExample(
            title="Recent errors",
            arguments={"path": "/var/log/syslog", "contains": "error"},
            needs="a host that writes /var/log/syslog",
        ),
        ToolExample(title="The end of the system's log", arguments={"lines": 5}),
    ),
)
async def logs(arguments: LogQuery, context: ToolContext) -> LogLines:  # noqa: ARG001
    """Reads the last lines of a log file below /var/log."""
    return await asyncio.to_thread(_tail, arguments)


def _system_log() -> str:
    usual = (Path("/var/log") / name for name in ("syslog", "messages", "dpkg.log"))
    return str(next((path for path in usual if path.is_file()), Path("/var/log/syslog")))


def _tail(query: LogQuery) -> LogLines:
    path = Path(os.path.realpath(query.path or _system_log()))
    if not any(path.is_relative_to(root) for root in _LOG_ROOTS):
        raise InvalidInput(f"{query.path} is not below {', '.join(map(str, _LOG_ROOTS))}.", remedy=_REMEDY)
    if not path.is_file():
        raise NotFound(f"There is no log file {path}.", remedy=_REMEDY)
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 4_000_000))
        text = file.read(4_000_000).decode(errors="replace").replace("\0", "�")
    lines = [line[:2000] for line in text.splitlines() if query.contains.lower() in line.lower()]
    return LogLines(path=str(path), size_bytes=size, lines=tuple(lines[-query.lines :]))
