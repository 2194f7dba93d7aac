"""The fast lane: a short, harmless read is judged and done in one go. Whoever asks records it."""

from holdfast.ports import Guardian, ToolHost
from schemas.stages import JudgeRequest
from schemas.tools import ToolResult
from schemas.verdicts import Decision, VerdictRecord


class FastLane:
    def __init__(self, *, guardian: Guardian, tools: ToolHost) -> None:
        self._guardian = guardian
        self._tools = tools

    async def tried(self, request: JudgeRequest) -> tuple[VerdictRecord, ToolResult | None]:
        """The verdict and, where it allows what is harmless, the result. Safe to repeat: it reads."""
        record = await self._guardian.judge(request)
        if not self._harmless(request, record):
            return record, None
        action = request.action
        spec = self._tools.find(action.tool, action.tool_version)
        return record, await self._tools.call(action, spec, idempotency_key=action.digest)

    def _harmless(self, request: JudgeRequest, record: VerdictRecord) -> bool:
        spec = self._tools.find(request.action.tool, request.action.tool_version)
        return (
            spec.fast
            and spec.digest == request.tool.digest
            and not record.verdict.held
            and record.verdict.decision is Decision.ALLOW
        )
