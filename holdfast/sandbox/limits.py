"""What a request may ask for: the operator's ceilings, and the shape of what goes in."""

from dataclasses import dataclass

from schemas.sandbox import Limits, SandboxRequest

_MAX_PROGRAM = 8 * 1024 * 1024
_MAX_ARGUMENT = 120 * 1024
_MAX_ARGUMENTS = 1024 * 1024
_MAX_ARGUMENT_COUNT = 8000  # bubblewrap takes nine thousand words, its own among them
_MAX_FILES = 64 * 1024 * 1024
_MAX_COLLECT = 256


@dataclass(frozen=True)
class Ceiling:
    """The most that any request gets. Above it a request is refused, never cut down in silence."""

    wall_s: float = 3600.0
    cpu_s: float = 7200.0
    memory_mb: int = 8192
    pids: int = 1024
    disk_mb: int = 8192
    inodes: int = 500_000
    file_mb: int = 8192
    open_files: int = 4096
    output_kb: int = 4096


_LEAST = {"memory_mb": 4, "open_files": 16}
"""Below these no interpreter starts, and the failure would look like ours."""


def why_refused(request: SandboxRequest, ceiling: Ceiling) -> str | None:
    """The first reason not to run this request, in words for the person who wrote it."""
    return _out_of_range(request.limits, ceiling) or _unfit_arguments(request) or _unfit_sizes(request)


def _out_of_range(limits: Limits, ceiling: Ceiling) -> str | None:
    for name in Limits.model_fields:
        asked, most = getattr(limits, name), getattr(ceiling, name)
        if asked > most:
            return f"limits.{name} asks for {asked}; the operator's ceiling is {most}"
        if asked < _LEAST.get(name, 0):
            return f"limits.{name} asks for {asked}; nothing starts below {_LEAST[name]}"
    return None


def _unfit_arguments(request: SandboxRequest) -> str | None:
    if any("\x00" in argument for argument in request.argv):
        return "argv holds a NUL character, which no program can receive"
    sizes = [len(argument.encode()) for argument in request.argv]
    if len(sizes) > _MAX_ARGUMENT_COUNT:
        return (
            f"argv has {len(sizes)} arguments, of at most {_MAX_ARGUMENT_COUNT}; pass many as stdin or files"
        )
    if max(sizes, default=0) > _MAX_ARGUMENT or sum(sizes) + 8 * len(sizes) > _MAX_ARGUMENTS:
        return (
            f"argv is too long: {_MAX_ARGUMENT} bytes an argument at most; pass large input as stdin or files"
        )
    return None


def _unfit_sizes(request: SandboxRequest) -> str | None:
    if len(request.program.encode()) > _MAX_PROGRAM:
        return f"program is longer than {_MAX_PROGRAM} bytes; pass large data as files"
    if sum(len(text.encode()) for text in (request.stdin, *request.files.values())) > _MAX_FILES:
        return f"stdin and files together are larger than {_MAX_FILES} bytes"
    if len(request.collect) > _MAX_COLLECT:
        return f"collect names more than {_MAX_COLLECT} files; pack them into one archive"
    return None
