"""References: `${steps.find.output.items[0].path}`, `${inputs.host}`, `${item}`, `${run.id}`, `${output.exit_code}`.

The whole grammar: a root (`steps`, `inputs`, `item`, `run`, `output`), then `.name`, `["name"]` or `[0]`, any number of times,
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

ROOTS = ("steps", "inputs", "item", "run", "output")

_OPEN = re.compile(r"\$\$\{|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_INDEX = re.compile(r"\[(-?[0-9]{1,6})\]")
_SPACE = re.compile(r"\s*")
_DECODER = json.JSONDecoder()
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

    @property
    def has_default(self) -> bool:
        return self.default is not _MISSING

    def __str__(self) -> str:
        return self.root + "".join(_as_written(part) for part in self.path)


def _as_written(part: str | int) -> str:
    plain = isinstance(part, str) and _NAME.fullmatch(part)
    return f".{part}" if plain else f"[{json.dumps(part, ensure_ascii=False)}]"


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
            reference, position = read(text, match.end())
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
    if isinstance(value, str):
        return value
    try:
        return canonical_json(value).decode()
    except ValueError as error:
        raise ReferenceProblem(f"a value cannot be written out: {error}") from error


def _enter(value: Any, part: str | int) -> Any:
    if isinstance(part, int):
        within = isinstance(value, list | tuple) and -len(value) <= part < len(value)
        return value[part] if within else _MISSING
    return value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING


def read(text: str, position: int) -> tuple[Reference, int]:
    """The reference that starts behind `${`, and the place behind its `}`."""
    start = position
    name = _NAME.match(text, position)
    if not name or name.group() not in ROOTS:
        raise ReferenceProblem(
            f"a reference starts with one of {', '.join(ROOTS)}: {text[start - 2 : start + 40]!r}"
        )
    path, position = _read_path(text, name.end())
    if name.group() == "steps" and not (path and isinstance(path[0], str)):
        raise ReferenceProblem(f"steps is followed by the name of a step: {text[start - 2 : start + 40]!r}")
    position = _past_space(text, position)
    default: Any = _MISSING
    if text.startswith("??", position):
        default, position = read_json(text, _past_space(text, position + 2))
        position = _past_space(text, position)
    if not text.startswith("}", position):
        raise ReferenceProblem(f"a reference ends with }}: {text[start - 2 : start + 60]!r}")
    return Reference(name.group(), path, default), position + 1


def read_json(text: str, position: int) -> tuple[Any, int]:
    """The JSON value that starts here, and the place behind it; one that Temporal or Postgres could not take is none."""
    try:
        value, end = _DECODER.raw_decode(text, position)
        canonical_json(value).decode()
    except (ValueError, RecursionError) as error:
        raise ReferenceProblem(f"this is not a JSON value: {text[position : position + 40]!r}") from error
    return value, end


def _read_path(text: str, position: int) -> tuple[tuple[str | int, ...], int]:
    path: list[str | int] = []
    while position < len(text):
        if text[position] == "." and (name := _NAME.match(text, position + 1)):
            path.append(name.group())
            position = name.end()
        elif index := _INDEX.match(text, position):
            path.append(int(index.group(1)))
            position = index.end()
        elif text.startswith('["', position):
            key, position = read_json(text, position + 1)
            path.append(key)
            if not text.startswith("]", position):
                raise ReferenceProblem(f'["name"] ends with ]: {text[position : position + 40]!r}')
            position += 1
        else:
            break
    return tuple(path), position


def _past_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position
