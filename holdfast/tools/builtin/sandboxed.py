"""Tools whose work is one of our own programs inside the sandbox: a request in, an answer out, nothing of the host."""

import inspect
import json
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel

from holdfast.errors import SandboxUnavailable
from holdfast.sandbox.port import Sandbox
from holdfast.tools.builtin.remedies import meaning_of, remedy_of
from holdfast.tools.declare import Tool, ToolContext, schema_of
from holdfast.tools.inside import program_text
from schemas.base import JsonObject
from schemas.sandbox import Language, NetworkDecision, SandboxRequest, SandboxResult, SandboxStatus
from schemas.tools import ToolError, ToolResult, ToolSpec

Prepare = Callable[[Any, ToolContext], JsonObject]
Told = Callable[[JsonObject], str]


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
        limits=context.limits,
        network=context.spec.permissions.network,
    )


def _result(result: SandboxResult, told: Told) -> ToolResult:
    answer = answer_of(result)
    if result.network:
        answer["network"] = [
            decision.model_dump(mode="json", exclude_defaults=True) for decision in result.network
        ]
    error = _refusal(answer.pop("error", None), result.network)
    return ToolResult(
        ok=error is None,
        output=answer,
        error=error,
        summary=(told(answer) if error is None else error.message)[:2000],
        isolation=result.isolation,
    )


def _refusal(told: Any, network: Sequence[NetworkDecision]) -> ToolError | None:
    """What the program says of its failure; the proxy knows better where it let nothing out, or found nobody there."""
    code, message = (str(told["code"]), str(told["message"])[:2000]) if told else ("", "")
    for decision in network:
        if decision.verdict == "denied":
            place = f"{decision.host}:{decision.port} was refused: " if decision.host else ""
            code, message = "network_denied", f"{place}{decision.reason}"
            break
        if told and decision.reason and not decision.bytes_down:
            code, message = "unreachable", decision.reason
    return ToolError(code=code, message=message, remedy=remedy_of(code)) if code else None


def answer_of(result: SandboxResult) -> JsonObject:
    """What the program answered; a program that was stopped has an answer too."""
    if result.status is SandboxStatus.SANDBOX_ERROR:
        raise SandboxUnavailable(
            f"The sandbox failed: {result.error}", remedy="Run `holdfast doctor` on the worker."
        )
    if result.status is SandboxStatus.OK and not result.stdout_truncated:
        answer: JsonObject = json.loads(result.stdout)
        return answer
    code = "output_limit" if result.stdout_truncated else result.status.value
    why = result.error or result.stderr.strip().rpartition("\n")[2] or meaning_of(code)
    return {"error": {"code": code, "message": f"The tool was stopped ({code}): {why}"}}
