"""From a manifest's text to a tool. Whatever is wrong with it is said with its place, and nothing is half made."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from holdfast.errors import InvalidInput
from holdfast.sandbox.egress import BadRule, EgressRules
from holdfast.sandbox.port import Sandbox
from holdfast.shapes import BadSchema, Shape, check_schema
from holdfast.tools.builtin.programs import told
from holdfast.tools.declare import Tool, ToolContext
from holdfast.tools.plain import plain
from holdfast.tools.registry import Registry
from schemas.base import JsonObject
from schemas.canonical import canonical_json, digest_of
from schemas.sandbox import Language, SandboxRequest
from schemas.tools import ToolManifest, ToolResult, ToolSpec

_PLACE = re.compile(r"\{([a-z_][a-z0-9_]*)\}", re.IGNORECASE)
_EXEC = 'exec "$@"\n'
_MOST_CHARS = 1_000_000


class BadManifest(InvalidInput):
    """The manifest describes no tool."""


@dataclass(frozen=True)
class Workshop:
    """What tools are made of: our own, the sandbox, and one for each image where an engine is at hand."""

    builtin: Registry
    sandbox: Sandbox
    container: Callable[[str], Sandbox] | None = None


def read_manifest(text: str) -> ToolManifest:
    if len(text) > _MOST_CHARS:
        raise BadManifest(f"It is longer than {_MOST_CHARS} characters.")
    try:
        manifest = ToolManifest.model_validate(yaml.load(text, Loader=_Loader))  # noqa: S506 - a safe one
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise BadManifest(_first_of(error)) from error
        raise BadManifest(f"It is no YAML: {' '.join(str(error).split())[:300]}") from error
    _check(manifest)
    return manifest


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: one of the two would be dropped without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the library's
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise yaml.constructor.ConstructorError(None, None, f"{twice} stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place + ': ' if place else ''}{first['msg']}"


def tool_of(manifest: ToolManifest, workshop: Workshop) -> Tool:
    """Raises BadManifest where this worker cannot run it."""
    if manifest.run.builtin:
        return _over_builtin(manifest, workshop.builtin)
    spec = _spec(manifest, input_schema=manifest.input, effect=manifest.effect, payload=manifest.payload)
    sandbox = _sandbox(manifest, workshop)

    async def call(arguments: JsonObject, context: ToolContext) -> ToolResult:
        result = await sandbox.run(_request(manifest, arguments, context))
        return _structured(told(result))

    return Tool(spec=spec, call=call)


def _over_builtin(manifest: ToolManifest, builtin: Registry) -> Tool:
    """One of our tools, under another name or version, with what the operator permits it."""
    found = builtin.newest().find(str(manifest.run.builtin))
    if found is None:
        raise BadManifest(f"run.builtin: there is no tool {manifest.run.builtin}.")
    if {"input", "output", "effect", "payload"} & manifest.model_fields_set:
        raise BadManifest("input, output, effect and payload are those of the builtin; leave them out.")
    spec = _spec(manifest, input_schema=found.input_schema, effect=found.effect, payload=found.payload)
    spec = spec.model_copy(update={"output_schema": found.output_schema, "lane": found.lane})
    if "limits" not in manifest.permissions.model_fields_set:
        permissions = spec.permissions.model_copy(update={"limits": found.permissions.limits})
        spec = spec.model_copy(update={"permissions": permissions})
    check_examples(spec)
    return Tool(spec=spec, call=builtin.find(found.name, found.version).call)


def _spec(manifest: ToolManifest, **ours: Any) -> ToolSpec:
    same = {
        name: getattr(manifest, name)
        for name in (
            *("name", "version", "description", "idempotency_argument", "probe", "inverse"),
            *("permissions", "timeout_s", "risk", "owner", "deprecated", "examples"),
        )
    }
    return ToolSpec(
        **same,
        **ours,
        output_schema=manifest.output,
        source="manifest",
        way=digest_of(manifest.run.model_dump(mode="json")),
    )


def _sandbox(manifest: ToolManifest, workshop: Workshop) -> Sandbox:
    if not manifest.run.image:
        return workshop.sandbox
    if workshop.container is None:
        raise BadManifest(
            "run.image: this worker has no container engine; install one, or leave the image out."
        )
    return workshop.container(manifest.run.image)


def _request(manifest: ToolManifest, arguments: JsonObject, context: ToolContext) -> SandboxRequest:
    if manifest.idempotency_argument:
        arguments = {**arguments, manifest.idempotency_argument: context.idempotency_key}
    run = manifest.run
    return SandboxRequest(
        run=context.workspace,
        language=run.language if run.program else Language.SH,
        program=run.program or _EXEC,
        argv=tuple(_filled(word, arguments) for word in run.command),
        stdin=json.dumps(arguments),
        limits=context.limits,
        network=context.spec.permissions.network,
    )


def _filled(word: str, arguments: JsonObject) -> str:
    """An argument becomes a part of one word, and never of the command's structure: no shell reads it."""
    return _PLACE.sub(lambda match: _text(arguments.get(match[1], "")), word)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _structured(result: ToolResult) -> ToolResult:
    """A tool that prints one JSON object has that as its output; what else it printed is text."""
    if not result.ok or result.output.get("truncated"):
        return result
    try:
        printed = json.loads(result.output["stdout"])
    except (ValueError, RecursionError):
        return result
    if not isinstance(printed, dict):
        return result
    seen = {"network": result.output["network"]} if "network" in result.output else {}
    return result.model_copy(update={"output": {**printed, **seen}})  # the proxy's word, never the tool's


def _check(manifest: ToolManifest) -> None:
    require_kept(manifest.model_dump())
    for name, schema in (("input", manifest.input), ("output", manifest.output)):
        try:
            check_schema(schema)
        except BadSchema as error:
            raise BadManifest(f"{name}: {error}") from error
    if manifest.input.get("type", "object") != "object":
        raise BadManifest("input.type: arguments are an object.")
    if manifest.permissions.host_read:
        raise BadManifest("permissions.host_read: paths of the host are bound for tools of ours only.")
    try:
        EgressRules.of(manifest.permissions.network)
    except BadRule as error:
        raise BadManifest(f"permissions.network: {error}") from error
    _check_places(manifest)
    if not manifest.run.builtin:
        check_examples(
            ToolSpec(
                name=manifest.name,
                description=manifest.description,
                input_schema=manifest.input,
                examples=manifest.examples,
            )
        )


def require_kept(said: JsonObject) -> None:
    """Raises BadManifest for what no store would take as it is."""
    try:
        found = json.loads(canonical_json(said))
    except ValueError as error:
        raise BadManifest(f"It holds what JSON cannot say: {error}") from error
    if plain(found) != found:
        raise BadManifest("It holds a NUL character, or is nested too deep.")


def _check_places(manifest: ToolManifest) -> None:
    known = set(manifest.input.get("properties", {})) | {manifest.idempotency_argument}
    used = {name for word in manifest.run.command for name in _PLACE.findall(word)}
    if used - known:
        raise BadManifest(f"run.command: {{{min(used - known)}}} is no argument of input.properties.")
    if manifest.run.command and _PLACE.search(manifest.run.command[0]):
        raise BadManifest("run.command: an argument cannot choose the program.")


def check_examples(spec: ToolSpec) -> None:
    """Raises BadManifest for the first that the tool itself would not take."""
    shape = Shape(spec.input_schema)
    for number, example in enumerate(spec.examples):
        if complaint := shape.complaint(example.arguments):
            raise BadManifest(f"examples.{number}: {complaint}")
