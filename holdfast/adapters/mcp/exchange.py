"""A server that is started in the run's sandbox for one exchange, and is dead when the exchange is over."""

import json
from collections.abc import Sequence
from dataclasses import replace

from holdfast.adapters.mcp.answered import CONNECT_S, Answered, failure
from holdfast.adapters.mcp.answers import TOO_LARGE, UNREADABLE
from holdfast.errors import SandboxUnavailable, ToolFailed
from holdfast.sandbox.port import Sandbox
from holdfast.tools.builtin.remedies import remedy_of
from holdfast.tools.inside import program_text
from holdfast.tools.plain import plain, plain_text
from schemas.base import JsonObject
from schemas.mcp import McpServer
from schemas.sandbox import Language, SandboxRequest, SandboxResult, SandboxStatus
from schemas.tools import ToolError

_MOST_OUTPUT_KB = 4096
"""What an operator lets a sandbox bring back, unless they say otherwise."""


class SandboxedServer:
    def __init__(self, server: McpServer, *, name: str, sandbox: Sandbox) -> None:
        self._server = server
        self._name = name
        self._sandbox = sandbox

    async def tools(self) -> Sequence[JsonObject]:
        answer = await self._exchange({"method": "tools/list"}, run=None, timeout_s=CONNECT_S)
        if answer.failure is not None:
            raise ToolFailed(answer.failure.message, remedy=answer.failure.remedy)
        found: list[JsonObject] = answer.result["tools"]
        return found

    async def call(self, name: str, arguments: JsonObject, *, run: str, timeout_s: float) -> Answered:
        params = {"name": name, "arguments": arguments}
        return await self._exchange({"method": "tools/call", "params": params}, run=run, timeout_s=timeout_s)

    async def close(self) -> None:
        """Nothing is kept."""

    async def _exchange(self, question: JsonObject, *, run: str | None, timeout_s: float) -> Answered:
        limits = self._server.permissions.limits
        output_kb = max(limits.output_kb, min(2 * self._server.result_bytes // 1024, _MOST_OUTPUT_KB))
        most = output_kb * 1024
        request = SandboxRequest(
            run=run,
            language=Language.PYTHON,
            program=program_text("mcp_exchange"),
            stdin=json.dumps({**question, "command": self._server.command, "most": most}),
            limits=limits.model_copy(
                update={
                    "wall_s": min(limits.wall_s, timeout_s),
                    "output_kb": output_kb,
                }
            ),
            network=self._server.permissions.network,
        )
        result = await self._sandbox.run(request)
        if result.status is SandboxStatus.SANDBOX_ERROR:
            raise SandboxUnavailable(f"The sandbox failed: {result.error}")
        return replace(self._answered(result, most), network=result.network, isolation=result.isolation)

    def _answered(self, result: SandboxResult, most: int) -> Answered:
        stopped = self._stopped(result)
        if stopped is not None:
            return Answered(failure=stopped)
        if result.stdout_truncated:
            return Answered(failure=failure(self._name, TOO_LARGE, "", most=most))
        answer: JsonObject = plain(json.loads(result.stdout))
        if isinstance(answer.get("result"), dict):
            return Answered(answer["result"])
        error = answer["error"] if isinstance(answer.get("error"), dict) else {"code": UNREADABLE}
        return Answered(failure=failure(self._name, error.get("code"), error.get("message", ""), most=most))

    def _stopped(self, result: SandboxResult) -> ToolError | None:
        """Why there is no answer to read."""
        if result.status is SandboxStatus.OK:
            return None
        code = result.status.value
        last = plain_text(result.stderr.strip().rpartition("\n")[2])
        if result.status is SandboxStatus.ERROR:
            remedy = ""
            if "No such file" in last:
                remedy = "A command is below /usr, or in a folder that HOLDFAST_SANDBOX__READABLE names."
            return ToolError(
                code="tool_failed", message=f"The MCP server {self._name} failed: {last[:500]}", remedy=remedy
            )
        why = f" {result.error or last}".rstrip()
        return ToolError(
            code=code,
            message=f"The MCP server {self._name} was stopped: {code}.{why}"[:600],
            remedy=remedy_of(code),
        )
