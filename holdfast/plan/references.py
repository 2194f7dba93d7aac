"""References: `${steps.find.output.items[0].path}`, `${inputs.host}`, `${item}`, `${run.id}`.

The whole grammar: a root (`steps`, `inputs`, `item`, `run`), then `.name`, `["name"]` or `[0]`, any number of times,
then perhaps `?? <JSON>`, the value to take where the path leads nowhere. A text that is one reference takes the value
with its type; inside a longer text the value is written out. `$${` is a literal `${`. Nothing else is special, and
every text has a meaning or an error: there is no third case.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.canonical import canonical_json

ROOTS = ("steps", "inputs", "item", "run")

_OPEN = re.compile(r"\$\$\{|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_INDEX = re.compile(r"\[(-?\d{1,6})\]")
_QUOTED = re.compile(r'\[("(?:[^"\\]|\\.)*")\]')
_MISSING = object()


class ReferenceProblem(ValueError):
    """A reference that cannot be read, or that leads nowhere."""


@dataclass(frozen=True)
class Reference:
    root: str
    path: tuple[str | int, ...]
    default: Any = _MISSING

    @property
    def step(self) -> str | None:
        """The step it reads, if it reads one."""
        return str(self.path[0]) if self.root == "steps" and self.path else None

    def __str__(self) -> str:
        return self.root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)


def parse(text: str) -> list[str | Reference]:
    """A text as literal parts and references, in order."""
    parts: list[str | Reference] = []
    position = 0
    while match := _OPEN.search(text, position):
        parts.append(text[position : match.start()])
        if match.group() == "$${":
            parts.append("${")
            position = match.end()
        else:
            reference, position = _read(text, match.end())
            parts.append(reference)
    parts.append(text[position:])
    return [part for part in parts if part != ""]


def references_in(value: Any) -> Iterator[Reference]:
    """Every reference in a JSON value, however deep. Object keys are never references."""
    if isinstance(value, str):
        yield from (part for part in parse(value) if isinstance(part, Reference))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references_in(item)


def resolve(value: Any, scope: Mapping[str, Any]) -> Any:
    """The JSON value with every reference replaced by what it reads in the scope."""
    if isinstance(value, str):
        return _resolve_text(value, scope)
    if isinstance(value, Mapping):
        return {key: resolve(item, scope) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, scope) for item in value]
    return value


def follow(reference: Reference, scope: Mapping[str, Any]) -> Any:
    """What one reference reads."""
    here: Any = scope.get(reference.root, _MISSING)
    for part in reference.path:
        here = _enter(here, part)
        if here is _MISSING:
            break
    if here is _MISSING:
        if reference.default is _MISSING:
            raise ReferenceProblem(f"${{{reference}}} leads nowhere")
        return reference.default
    return here


def _resolve_text(text: str, scope: Mapping[str, Any]) -> Any:
    parts = parse(text)
    if len(parts) == 1 and isinstance(parts[0], Reference):
        return follow(parts[0], scope)
    return "".join(part if isinstance(part, str) else _written(follow(part, scope)) for part in parts)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value).decode()


def _enter(value: Any, part: str | int) -> Any:
    if isinstance(part, int):
        within = isinstance(value, list | tuple) and -len(value) <= part < len(value)
        return value[part] if within else _MISSING
    return value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING


def _read(text: str, position: int) -> tuple[Reference, int]:
    """The reference that starts behind `${`, and the place behind its `}`."""
    start = position
    name = _NAME.match(text, position)
    if not name or name.group() not in ROOTS:
        raise ReferenceProblem(
            f"a reference starts with one of {', '.join(ROOTS)}: {text[start - 2 : start + 40]!r}"
        )
    path, position = _read_path(text, name.end())
    default: Any = _MISSING
    rest = text[position:].lstrip()
    if rest.startswith("??"):
        default, position = _read_default(text, text.index("??", position) + 2)
        rest = text[position:].lstrip()
    if not rest.startswith("}"):
        raise ReferenceProblem(f"a reference ends with }}: {text[start - 2 : start + 60]!r}")
    return Reference(name.group(), path, default), text.index("}", position) + 1


def _read_path(text: str, position: int) -> tuple[tuple[str | int, ...], int]:
    path: list[str | int] = []
    while position < len(text):
        if text[position] == "." and (name := _NAME.match(text, position + 1)):
            path.append(name.group())
            position = name.end()
        elif index := _INDEX.match(text, position):
            path.append(int(index.group(1)))
            position = index.end()
        elif quoted := _QUOTED.match(text, position):
            path.append(json.loads(quoted.group(1)))
            position = quoted.end()
        else:
            break
    return tuple(path), position


def _read_default(text: str, position: int) -> tuple[Any, int]:
    while position < len(text) and text[position] == " ":
        position += 1
    try:
        return json.JSONDecoder().raw_decode(text, position)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ReferenceProblem(
            f"?? is followed by a JSON value: {text[position : position + 40]!r}"
        ) from error
