"""Gives a runbook its inputs, and writes them into each block in the way that block's language quotes.

A value never becomes code: in a shell block it is one quoted word, in Python and JSON a literal, in SQL a literal.
"""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.knowledge.mentions import mentioned
from holdfast.knowledge.runbooks import placeholders_bound
from schemas.base import JsonObject
from schemas.knowledge import BlockKind, RunbookInput, RunnableRunbook

_REFERENCE = re.compile(r"\$\{\s*inputs\.([a-z][a-z0-9_]*)\s*\}")
_ENGINE = re.compile(r"\$\{\s*(?:steps|item|run)\b")


@dataclass(frozen=True)
class Bound:
    """The values of the inputs; the names nobody gave; what is wrong with those that were given; which values nobody
    gave as such, and where they are from."""

    values: JsonObject
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def bind_inputs(runbook: RunnableRunbook, *, goal: str, given: Mapping[str, Any]) -> Bound:
    """Given first, then what the goal says beyond doubt, then, where it says nothing, the default."""
    values: JsonObject = dict(given)
    missing, problems, told = [], [], []
    for wanted in runbook.inputs:
        value = given.get(wanted.name)
        if value is None:
            said = mentioned(wanted, runbook, goal)
            if said.doubt and (wanted.required or wanted.default is not None):
                missing.append(wanted.name)
                problems.append(f"{wanted.name}: {said.doubt}")
                continue
            value = said.value if said.value is not None else wanted.default
            if value is not None:
                told.append(
                    f"{wanted.name} = {value} ({'from the goal' if said.value is not None else 'as the runbook says'})"
                )
        if value is None:
            if wanted.required:
                missing.append(wanted.name)
            continue
        try:
            values[wanted.name] = _typed(wanted, value)
        except ValueError as error:
            missing.append(wanted.name)
            problems.append(f"{wanted.name}: {error}")
    return Bound(values, tuple(missing), tuple(problems), tuple(told))


def _typed(wanted: RunbookInput, value: Any) -> Any:
    typed = _CASTS[wanted.type](value)
    if wanted.choices and str(typed) not in wanted.choices:
        raise ValueError(f"{value!r} is none of {', '.join(wanted.choices)}")
    if wanted.pattern and not re.fullmatch(wanted.pattern, str(typed)):
        raise ValueError(f"{value!r} does not match {wanted.pattern}")
    return typed


def _as_text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise ValueError("a text is wanted")
    return str(value)


def _as_number(value: Any) -> float | int:
    number = float(value)
    return int(number) if number.is_integer() else number


def _as_truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "yes", "1"):
        return True
    if str(value).lower() in ("false", "no", "0"):
        return False
    raise ValueError(f"{value!r} is neither true nor false")


def _as_path(value: Any) -> str:
    path = _as_text(value)
    if not path.startswith("/") or "\x00" in path or ".." in path.split("/"):
        raise ValueError(f"{path!r} is not an absolute path without `..`")
    return path


def _as_host(value: Any) -> str:
    host = _as_text(value)
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.:_-]{0,252})", host):
        raise ValueError(f"{host!r} is not a host name or address")
    return host


def _as_service(value: Any) -> str:
    service = _as_text(value)
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9@._-]{0,120})", service):
        raise ValueError(f"{service!r} is not the name of a service")
    return service


_CASTS: dict[str, Callable[[Any], Any]] = {
    "text": _as_text, "integer": int, "number": _as_number, "boolean": _as_truth, "path": _as_path, "host": _as_host,
    "service": _as_service,
}  # fmt: skip


def _shell_word(value: Any) -> str:
    return shlex.quote(value if isinstance(value, str) else json.dumps(value))


def _python_literal(value: Any) -> str:
    return repr(value)


def _sql_literal(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return "'" + str(value).replace("'", "''") + "'"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_WRITERS: dict[BlockKind, Callable[[Any], str]] = {
    "shell": _shell_word, "python": _python_literal, "sql": _sql_literal, "http": _plain, "tool": _plain,
    "approval": _plain, "wait": _plain,
}  # fmt: skip


def written_into(body: str, kind: BlockKind, values: Mapping[str, Any], *, placeholders: bool = False) -> str:
    """The block with its inputs in place; every other `${` is made literal, so that the engine leaves it alone."""
    body = placeholders_bound(body) if placeholders else body
    write = _WRITERS[kind]
    parts, last = [], 0
    for found in _REFERENCE.finditer(body):
        parts.append(literal(body[last : found.start()], engine=kind not in ("shell", "python", "sql")))
        value = values.get(found[1])
        parts.append(literal("" if value is None else write(value), engine=False))
        last = found.end()
    parts.append(literal(body[last:], engine=kind not in ("shell", "python", "sql")))
    return "".join(parts)


def literal(text: str, *, engine: bool) -> str:
    """Text in which `${` means itself; with `engine`, references to steps, items and the run stay references."""
    return re.sub(r"\$\{", lambda at: "${" if engine and _ENGINE.match(text, at.start()) else "$${", text)


def bound_value(value: Any, values: Mapping[str, Any]) -> Any:
    """A JSON value with its inputs in place; a text that is one input takes the input's type."""
    if isinstance(value, str):
        whole = _REFERENCE.fullmatch(value)
        if whole and not isinstance(values.get(whole[1]), str):
            return values.get(whole[1])
        return written_into(value, "tool", values)
    if isinstance(value, dict):
        return {key: bound_value(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [bound_value(item, values) for item in value]
    return value


def bound_condition(text: str, values: Mapping[str, Any]) -> str:
    """A condition with its inputs as JSON."""
    return _REFERENCE.sub(lambda found: json.dumps(values.get(found[1])), text)
