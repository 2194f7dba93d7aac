"""Declaring a tool: a function with a pydantic model in and a pydantic model out becomes a `Tool`.

    class Sum(Request):
        numbers: tuple[float, ...]

    @declared("math.sum", effect=EffectClass.READ_ONLY, lane=Lane.FAST)
    async def add(arguments: Sum, context: ToolContext) -> Total:
        \"\"\"Adds numbers.\"\"\"

The schema of its arguments and of its output come from the models, the description from the docstring.
"""

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, get_type_hints, runtime_checkable

from pydantic import BaseModel

from holdfast.errors import TooLarge
from holdfast.tools.plain import larger_than
from schemas.actions import Action
from schemas.base import JsonObject
from schemas.sandbox import Limits
from schemas.tools import ToolResult, ToolSpec

_MOST_CHARS = 10_000_000


@dataclass(frozen=True)
class ToolContext:
    """What a call may know of its surroundings."""

    action: Action
    spec: ToolSpec
    idempotency_key: str

    @property
    def workspace(self) -> str:
        """The name of the run's workspace: calls of one run share it, and nobody else sees it."""
        return f"{self.action.tenant}.{self.action.run_id}"

    @property
    def limits(self) -> Limits:
        """Those of its sandbox, which ends a call a little before the call's own time does: only it brings back what was
        printed so far."""
        limits, most = self.spec.permissions.limits, self.spec.timeout_s
        return limits.model_copy(update={"wall_s": min(limits.wall_s, most - min(3.0, most / 10))})


Call = Callable[[JsonObject, ToolContext], Awaitable[ToolResult]]
Probe = Callable[[JsonObject, ToolContext], Awaitable[bool | None]]


@runtime_checkable
class Telling(Protocol):
    """An output that can say itself in one line."""

    def told(self) -> str: ...


@dataclass(frozen=True)
class Tool:
    """A spec and what fulfils it."""

    spec: ToolSpec
    call: Call
    probe: Probe | None = None


def declared(
    name: str, *, outside: bool = False, **fields: Any
) -> Callable[[Callable[..., Awaitable[Any]]], Tool]:
    """Turns `async def f(arguments: Model, context: ToolContext) -> Model | ToolResult` into a tool.

    `outside` says that the output repeats words from outside, which is certain where the arguments carry a payload.
    """

    def make(function: Callable[..., Awaitable[Any]]) -> Tool:
        hints = get_type_hints(function)
        _require_shape(function, hints, fields)
        arguments_model = hints["arguments"]
        spec = ToolSpec(
            name=name,
            description=inspect.cleandoc(function.__doc__ or name),
            input_schema=schema_of(arguments_model),
            output_schema=_output_schema(hints.get("return")),
            **fields,
        )

        async def call(arguments: JsonObject, context: ToolContext) -> ToolResult:
            value = await function(arguments_model.model_validate(arguments), context)
            return result_of(value, untrusted=outside or spec.payload != "none")

        return Tool(spec=spec, call=call)

    return make


def _require_shape(function: Callable[..., Any], hints: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Raises TypeError for what would fail at its first call, or be dropped without a word."""
    model = hints.get("arguments")
    if not (inspect.isclass(model) and issubclass(model, BaseModel)):
        raise TypeError("the function takes `arguments`, annotated with a model, and `context`")
    if not inspect.iscoroutinefunction(function):
        raise TypeError("the function is declared with `async def`")
    if unknown := sorted(set(fields) - set(ToolSpec.model_fields)):
        raise TypeError(f"a tool has no field {unknown[0]!r}")


def schema_of(model: type[BaseModel]) -> JsonObject:
    """The JSON schema of a model, without the noise that helps nobody who fills it in."""
    schema = model.model_json_schema()
    schema.pop("title", None)
    schema.pop("description", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    return schema


def result_of(value: Any, *, untrusted: bool) -> ToolResult:
    if isinstance(value, ToolResult):
        _require_bearable(value.output)
        return value
    found = value.model_dump(mode="json") if isinstance(value, BaseModel) else dict(value)
    _require_bearable(found)
    output = found if isinstance(value, BaseModel) else _as_json(found)
    summary = value.told()[:2000] if isinstance(value, Telling) else ""
    return ToolResult(ok=True, output=output, summary=summary, untrusted=untrusted)


def _require_bearable(output: JsonObject) -> None:
    """What a tool brings is written down by the process that many calls share."""
    if larger_than(_MOST_CHARS, output):
        raise TooLarge(
            f"It brought more than {_MOST_CHARS} characters. What it does has been done.",
            remedy="Bring less of it, or write it to a file of the workspace.",
        )


def _as_json(value: JsonObject) -> JsonObject:
    """What JSON does not have becomes text. Raises ValueError for what holds itself."""
    try:
        found: JsonObject = json.loads(json.dumps(value, default=str))
    except RecursionError:
        return value  # it is cut where it is too deep
    return found


def _output_schema(model: Any) -> JsonObject:
    is_model = inspect.isclass(model) and issubclass(model, BaseModel) and model is not ToolResult
    return schema_of(model) if is_model else {}
