"""`shell` and `python`: programs in a sandbox that sees the run's workspace, and nothing else of the world."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from holdfast.errors import SandboxUnavailable
from holdfast.sandbox.port import Sandbox
from holdfast.tools.builtin.remedies import meaning_of, remedy_of
from holdfast.tools.declare import Tool, ToolContext, declared
from schemas.base import JsonObject, Request
from schemas.canonical import canonical_json
from schemas.sandbox import Language, SandboxRequest, SandboxResult, SandboxStatus
from schemas.tools import EffectClass, ToolError, ToolExample, ToolResult

JsonInput = str | JsonObject | list[Any]


class ShellCall(Request):
    command: str = Field(
        min_length=1, max_length=100_000, description="A bash script. It starts in the workspace."
    )
    stdin: JsonInput = Field(
        default="", description="What the program reads: a text, or a value written as JSON."
    )


class PythonCall(Request):
    code: str = Field(
        min_length=1, max_length=500_000, description="A Python 3 program; what it prints comes back."
    )
    stdin: JsonInput = Field(
        default="", description="What the program reads: a text, or a value written as JSON."
    )


def program_tools(sandbox: Sandbox) -> Sequence[Tool]:
    """Both, over one sandbox."""

    @declared(
        "shell",
        version="1.0.1",
        payload="shell",
        effect=EffectClass.IRREVERSIBLE,
        risk="medium",
        examples=(
            ToolExample(
                title="Count what is equal",
                arguments={"command": "sort | uniq --count | tr -s ' '", "stdin": "web-1\nweb-2\nweb-1\n"},
                output={"stdout": " 2 web-1\n 1 web-2\n", "exit_code": 0},
            ),
        ),
    )
    async def shell(arguments: ShellCall, context: ToolContext) -> ToolResult:
        """Runs a bash command in the run's workspace, without network. Returns stdout, stderr and the exit code.

        Files it leaves in the workspace are there for the next call of the same run.
        """
        return await _run(sandbox, Language.BASH, arguments.command, arguments.stdin, context)

    @declared(
        "python",
        payload="python",
        effect=EffectClass.IRREVERSIBLE,
        risk="medium",
        examples=(ToolExample(title="Add up", arguments={"code": "print(sum(range(10)))"}),),
    )
    async def python(arguments: PythonCall, context: ToolContext) -> ToolResult:
        """Runs a Python 3 program in the run's workspace, without network. Only the standard library is there."""
        return await _run(sandbox, Language.PYTHON, arguments.code, arguments.stdin, context)

    return (shell, python)


async def _run(
    sandbox: Sandbox, language: Language, program: str, stdin: JsonInput, context: ToolContext
) -> ToolResult:
    request = SandboxRequest(
        run=context.workspace,
        language=language,
        program=program,
        stdin=stdin if isinstance(stdin, str) else canonical_json(stdin).decode(),
        limits=context.limits,
        network=context.spec.permissions.network,
    )
    return told(await sandbox.run(request))


def told(result: SandboxResult) -> ToolResult:
    """A sandbox's result as a tool's. A sandbox that broke is an outage, never a result of the tool."""
    if result.status is SandboxStatus.SANDBOX_ERROR:
        raise SandboxUnavailable(
            f"The sandbox failed: {result.error}", remedy="Run `holdfast doctor` on the worker."
        )
    output: JsonObject = {
        "stdout": result.stdout,
        "stderr": result.stderr,
        "exit_code": result.exit_code,
        "truncated": result.stdout_truncated or result.stderr_truncated,
    }
    if result.network:
        output["network"] = [
            decision.model_dump(mode="json", exclude_defaults=True) for decision in result.network
        ]
    ok, code = result.status is SandboxStatus.OK, result.status.value
    return ToolResult(
        ok=ok,
        output=output,
        summary=_summary(result),
        error=None if ok else ToolError(code=code, message=_why(result), remedy=remedy_of(code)),
        isolation=result.isolation,
    )


def _why(result: SandboxResult) -> str:
    if result.status is SandboxStatus.SIGNAL:
        return f"The program was ended by signal {result.signal}."
    if result.status is not SandboxStatus.ERROR:
        return f"{meaning_of(result.status.value)} {result.error or ''}".strip()
    said = _last_line(result.stderr) or _last_line(result.stdout)
    return f"exit code {result.exit_code}{': ' + said if said else ''}"


def _summary(result: SandboxResult) -> str:
    first = next((line for line in result.stdout.splitlines() if line.strip()), "")
    lines = result.stdout.count("\n")
    return f"{first[:160]}" + (f" … {lines} lines" if lines > 1 else "")


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")[:300]
