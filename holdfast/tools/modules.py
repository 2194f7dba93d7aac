"""From a Python file of the operator's to tools. Its code runs in the worker, with all that the worker may do."""

import importlib.util
import sys
from dataclasses import replace
from types import ModuleType

from holdfast.sandbox.egress import BadRule, EgressRules
from holdfast.shapes import BadSchema, check_schema
from holdfast.tools.declare import Tool
from holdfast.tools.manifests import BadManifest, check_examples, require_kept
from schemas.canonical import digest_of
from schemas.tools import Lane


def tools_of_module(file: str, text: str) -> tuple[Tool, ...]:
    """Every tool the file declares, or none of them and the reason. The source is part of each one's digest, so a
    change needs a new version."""
    digest = digest_of(text)
    module = _loaded(file, text, digest)
    found = [value for value in vars(module).values() if isinstance(value, Tool)]
    if not found:
        raise BadManifest("It declares no tool: put `@declared(...)` above an async function.")
    keys = [tool.spec.key for tool in found]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise BadManifest(f"It declares {twice} twice.")
    for tool in found:
        _check(tool)
    named = {"source": "manifest", "way": digest}
    return tuple(replace(tool, spec=tool.spec.model_copy(update=named)) for tool in found)


def _loaded(file: str, text: str, digest: str) -> ModuleType:
    """Under a name of its own, so that the version before goes on beside it for runs that pinned it."""
    name = f"holdfast_tool_modules.{file.removesuffix('.py')}_{digest[-12:]}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=file)
    if spec is None:
        raise BadManifest("Python cannot name this module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where pydantic looks for the types that annotations name
    try:
        exec(compile(text, file, "exec"), vars(module))  # noqa: S102 - the operator's own code, from their folder
    except BaseException as error:  # the edge between our process and that code, whatever it raises
        del sys.modules[name]
        raise BadManifest(_why(file, error)) from error
    return module


def _why(file: str, error: BaseException) -> str:
    line, trace = getattr(error, "lineno", None), error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    place = f"{file}, line {line}: " if line else ""
    return f"{place}{type(error).__name__}: {error}"[:500]


def _check(tool: Tool) -> None:
    spec = tool.spec
    if spec.lane is not Lane.SANDBOX:
        raise BadManifest(f"{spec.key}: lane `fast` is for tools that ship with Holdfast; leave it out.")
    if (spec.effect.value == "probed") != (spec.probe is not None or tool.probe is not None):
        raise BadManifest(f"{spec.key}: effect `probed` and `probe` belong together.")
    if spec.permissions.host_read:
        raise BadManifest(f"{spec.key}: permissions.host_read is for tools that ship with Holdfast.")
    try:
        EgressRules.of(spec.permissions.network)
    except BadRule as error:
        raise BadManifest(f"{spec.key}: permissions.network: {error}") from error
    for side, schema in (("input", spec.input_schema), ("output", spec.output_schema)):
        try:
            check_schema(schema)
        except BadSchema as error:
            raise BadManifest(f"{spec.key}: {side}: {error}") from error
    require_kept(spec.said())
    check_examples(spec)
