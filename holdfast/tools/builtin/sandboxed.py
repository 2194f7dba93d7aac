"""Tools whose work is one of our own programs inside the sandbox: a request in, an answer out, nothing of the host."""

import inspect
import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from holdfast.errors import SandboxUnavailable
from holdfast.sandbox.port import Sandbox
from holdfast.tools.declare import Tool, ToolContext, schema_of
from holdfast.tools.inside import program_text
from schemas.base import JsonObject
from schemas.sandbox import Language, SandboxRequest, SandboxResult, SandboxStatus
from schemas.tools import ToolError, ToolResult, ToolSpec

Prepare = Callable[[Any, ToolContext], JsonObject]
Told = Callable[[JsonObject], str]

_REMEDIES = {
    "not_found": "`files.list` shows what is there.",
    "outside_workspace": "Name it from the workspace, such as `reports/today.txt`.",
    "does_not_apply": "Read the file again, and write the patch against what stands there.",
    "no_repository": "Clone or copy a repository into the workspace first.",
}


def inside_tool(
    sandbox: Sandbox,
    name: str,
    *,
    program: str,
    arguments: type[BaseModel],
    prepare: Prepare | None = None,
    told: Told = lambda _: "",
    **fields: Any,
) -> Tool:
    """The tool's words are those of its arguments' model; what it does is `program`."""
    spec = ToolSpec(
        name=name,
        description=inspect.cleandoc(arguments.__doc__ or name),
        input_schema=schema_of(arguments),
        **fields,
    )

    async def call(given: JsonObject, context: ToolContext) -> ToolResult:
        wanted = arguments.model_validate(given)
        asked = prepare(wanted, context) if prepare else wanted.model_dump(mode="json")
        request = {"operation": name.rpartition(".")[2], **asked}
        result = await sandbox.run(_request(program, request, context))
        return _result(result, told)

    return Tool(spec=spec, call=call)


def _request(program: str, request: JsonObject, context: ToolContext) -> SandboxRequest:
    return SandboxRequest(
        run=context.workspace,
        language=Language.PYTHON,
        program=program_text(program),
        stdin=json.dumps(request),
        limits=context.spec.permissions.limits,
        network=context.spec.permissions.network,
    )


def _result(result: SandboxResult, told: Told) -> ToolResult:
    answer = answer_of(result)
    if result.network:
        answer["network"] = [
            decision.model_dump(mode="json", exclude_defaults=True) for decision in result.network
        ]
    refusal = answer.pop("error", None)
    error = None
    if refusal:
        code = str(refusal["code"])
        error = ToolError(code=code, message=str(refusal["message"])[:2000], remedy=_REMEDIES.get(code, ""))
    denied = next((decision for decision in result.network if decision.verdict == "denied"), None)
    if denied:
        error = ToolError(
            code="network_denied",
            message=f"{denied.host}:{denied.port} was refused: {denied.reason}",
            remedy="Only hosts that the tool's permissions name can be reached; see docs/tools.md.",
        )
    return ToolResult(
        ok=error is None,
        output=answer,
        error=error,
        summary=told(answer)[:2000] if error is None else "",
        isolation=result.isolation,
    )


def answer_of(result: SandboxResult) -> JsonObject:
    """What the program answered; a program that was stopped has an answer too."""
    if result.status is SandboxStatus.SANDBOX_ERROR:
        raise SandboxUnavailable(
            f"The sandbox failed: {result.error}", remedy="Run `holdfast doctor` on the worker."
        )
    if result.status is SandboxStatus.OK and not result.stdout_truncated:
        answer: JsonObject = json.loads(result.stdout)
        return answer
    why = result.error or result.stderr.strip().rpartition("\n")[2] or result.status.value
    code = "output_limit" if result.stdout_truncated else result.status.value
    return {"error": {"code": code, "message": f"The tool was stopped ({code}): {why}"}}
