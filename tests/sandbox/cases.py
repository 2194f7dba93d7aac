"""What a hostile program is, and what must be true of the world after it has run."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from schemas.sandbox import SandboxRequest, SandboxResult

Check = Callable[[SandboxResult], bool]

ESCAPED = "ESC" + "APED"
"""What a program prints when it got what it wanted. Split, so that no listing of a program holds it."""


@dataclass(frozen=True)
class Case:
    """One program, how it may end, and a check from outside. `{token}`-like places are filled by the test's world."""

    name: str
    program: str
    language: str = "python"
    ends: tuple[str, ...] = ("ok",)
    says: str = ""
    check: Check | None = None
    within_s: float = 15.0
    limits: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    collect: tuple[str, ...] = ()
    stdin: str = ""
    argv: tuple[str, ...] = ()
    hits: int | None = None
    """How many requests the test's own server, outside, must have seen."""

    def request(self, run: str, fill: Callable[[str], str]) -> SandboxRequest:
        return SandboxRequest.model_validate_json(_json(self, run, fill))


def _json(case: Case, run: str, fill: Callable[[str], str]) -> str:
    text = json.dumps(
        {
            "run": run,
            "language": case.language,
            "program": case.program,
            "argv": case.argv,
            "stdin": case.stdin,
            "limits": {"wall_s": 10, **case.limits},
            "network": case.network,
            "files": case.files,
            "collect": case.collect,
        }
    )
    return fill(text)


def wants(attempt: str, *, name: str, language: str = "python", **more: Any) -> Case:
    """A Python attempt that must fail: whatever it raises, it must not reach its own last line."""
    body = "\n".join(f"    {line}" for line in attempt.strip().splitlines())
    program = (
        "import ctypes, os, socket, sys, errno\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def call(*a):\n"
        "    r = libc.syscall(*[ctypes.c_long(x) if isinstance(x, int) else x for x in a])\n"
        "    if r < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))\n"
        "    return r\n"
        f"try:\n{body}\n    print('ESC' + 'APED')\n"
        "except (OSError, AttributeError, ValueError, OverflowError, MemoryError) as e:\n    print('held', type(e).__name__, e)\n"
    )
    return Case(name=name, program=program, language=language, says="held", **more)
