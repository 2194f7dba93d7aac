"""Programs that run inside the sandbox, by the sandbox's own Python and its standard library alone.

Each reads one JSON object from stdin and prints one. They are sent as text, never imported by the worker.
"""

from functools import cache
from pathlib import Path

_PARTS = {"files": ("paths", "contents", "finding", "patching")}
"""What a program imports of its neighbours here, in an order in which each finds what it needs itself."""

_CARRIER = """\
import sys, types

for name, text in {parts!r}:
    part = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), part.__dict__)
exec(compile({main!r}, "{program}", "exec"))
"""


@cache
def program_text(name: str) -> str:
    """The source of one of these programs, with its parts where its imports will look for them."""
    parts = tuple((f"{__name__}.{part}", _source(part)) for part in _PARTS.get(name, ()))
    return _CARRIER.format(parts=parts, main=_source(name), program=name) if parts else _source(name)


def _source(name: str) -> str:
    return (Path(__file__).parent / f"{name}.py").read_text()
