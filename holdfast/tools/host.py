"""Calls tools: arguments checked, time bounded, and whatever goes wrong turned into a result that says so."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import structlog
from pydantic import ValidationError

from holdfast.errors import HoldfastError, NotBegun, NotFound, SandboxUnavailable, Unavailable
from holdfast.shapes import Shape
from holdfast.tools.builtin.remedies import remedy_of
from holdfast.tools.declare import Tool, ToolContext
from holdfast.tools.plain import plain
from holdfast.tools.registry import Registry
from schemas.actions import Action
from schemas.base import JsonObject
from schemas.tools import Catalogue, EffectClass, ToolError, ToolResult, ToolSpec

log = structlog.get_logger()

_SCHEMA = "`holdfast tools show NAME` and GET /v1/tools/NAME tell what it takes."


class RegistryToolHost:
    """Fulfils the port `ToolHost`."""

    def __init__(self, registry: Registry) -> None:
        self._own = registry
        self._offered: dict[str, Sequence[Tool]] = {}
        self._expected: Sequence[str] = ()
        self._registry = registry
        self._shapes: dict[tuple[str, str], Shape] = {}

    def catalogue(self) -> Catalogue:
        return self._registry.newest()

    def specs(self) -> Sequence[ToolSpec]:
        """Every version of every tool."""
        return self._registry.specs()

    def find(self, name: str, version: str) -> ToolSpec:
        try:
            return self._registry.find(name, version).spec
        except NotFound as error:
            if name.startswith(tuple(self._expected)):
                raise NotBegun(f"This worker has not heard yet whether it has {name}@{version}.") from error
            raise

    def expect(self, prefixes: Sequence[str]) -> None:
        """Tools with such names may still come: whoever calls one that is not there yet is asked to try again."""
        self._expected = tuple(prefixes)

    def offer(self, source: str, tools: Sequence[Tool]) -> None:
        """What a source of tools has now, in place of what it had. Calls under way keep the tool they have."""
        self._offered[source] = tuple(tools)
        self._registry = self._own.with_tools(tool for found in self._offered.values() for tool in found)

    async def call(self, action: Action, spec: ToolSpec, *, idempotency_key: str) -> ToolResult:
        """What the tool brought. Raises only where a retry may help: the sandbox or a service is away."""
        tool = self._registry.find(spec.name, spec.version)
        complaint = self._shape(tool.spec, "input").complaint(action.arguments)
        if complaint:
            return _failed("bad_arguments", complaint, remedy=_SCHEMA)
        context = ToolContext(action=action, spec=spec, idempotency_key=idempotency_key)
        started = time.monotonic()
        result = self._kept(tool.spec, await self._bounded(tool, action.arguments, context))
        return result.model_copy(update={"duration_ms": (time.monotonic() - started) * 1000})

    async def probe(self, action: Action, spec: ToolSpec) -> bool | None:
        tool = self._registry.find(spec.name, spec.version)
        context = ToolContext(action=action, spec=spec, idempotency_key=action.digest)
        if tool.probe is not None:
            try:
                return await tool.probe(action.arguments, context)
            except HoldfastError:
                raise
            except Exception as error:  # noqa: BLE001 - the same edge: what cannot be told is asked about
                log.warning("probe_crashed", tool=tool.spec.key, error=type(error).__name__)
                return None
        if tool.spec.probe is not None:
            return await self._asked(tool.spec.probe, action, context)
        return None

    async def _asked(self, probe: str, action: Action, context: ToolContext) -> bool | None:
        """Another tool, given the same arguments, says `happened`. Whatever else it says leaves the question open."""
        spec = self._registry.newest().find(probe)
        if spec is None or spec.effect is not EffectClass.READ_ONLY:
            return None
        answer = await self._bounded(
            self._registry.find(spec.name, spec.version), action.arguments, replace(context, spec=spec)
        )
        happened = answer.output.get("happened") if answer.ok else None
        return happened if isinstance(happened, bool) else None

    async def _bounded(self, tool: Tool, arguments: JsonObject, context: ToolContext) -> ToolResult:
        try:
            async with asyncio.timeout(tool.spec.timeout_s):
                return await tool.call(arguments, context)
        except TimeoutError:
            why = f"{tool.spec.name} took longer than {tool.spec.timeout_s:g} s."
            return _failed("timeout", why, remedy=remedy_of("timeout"))
        except (SandboxUnavailable, Unavailable):
            raise
        except ValidationError as error:
            return _failed("bad_arguments", _first_of(error), remedy=_SCHEMA)
        except HoldfastError as error:
            return _failed(error.code, error.message, remedy=error.remedy)
        except (
            BaseException
        ) as error:  # the edge between our process and a tool's code, also one that means to exit
            if _is_ours(error):
                raise
            log.warning("tool_crashed", tool=tool.spec.key, error=type(error).__name__)
            said = f"{tool.spec.name} failed: {type(error).__name__}: {_words(error)}"
            return _failed("tool_crashed", said[:1000], remedy=remedy_of("tool_crashed"))

    def _kept(self, spec: ToolSpec, result: ToolResult) -> ToolResult:
        """Its output as it can be written down; a failure where that is not what the tool's schema promises."""
        result = result.model_copy(update={"output": plain(result.output)})
        promised = result.output.get("structured") if spec.source == "mcp" else result.output
        if not result.ok or not spec.output_schema or promised is None or result.output.get("truncated"):
            return result
        complaint = self._shape(spec, "output").complaint(promised)
        if not complaint:
            return result
        said = f"{spec.name} was called, and what it brought breaks its output schema: {complaint}"
        error = ToolError(code="bad_output", message=said[:1000], remedy=remedy_of("bad_output"))
        return result.model_copy(update={"ok": False, "error": error})

    def _shape(self, spec: ToolSpec, side: Literal["input", "output"]) -> Shape:
        shape = self._shapes.get((spec.digest, side))
        if shape is None:
            shape = Shape(spec.input_schema if side == "input" else spec.output_schema)
            self._shapes[spec.digest, side] = shape
        return shape


def _failed(code: str, message: str, *, remedy: str = "") -> ToolResult:
    return ToolResult(ok=False, error=ToolError(code=code, message=message, remedy=remedy), untrusted=False)


def _is_ours(error: BaseException) -> bool:
    """A cancellation that was asked for, and not one that the tool made up."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _words(error: BaseException) -> str:
    """An exception of a stranger may fail to say what it is."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the same edge
        return "it does not say why"


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where, said = "/".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
    return f"{where}: {said}" if where else said
