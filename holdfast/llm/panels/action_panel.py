"""A panel as the guardian's second opinion, for actions that cannot be undone: one doubt is enough to ask a human."""

import json

from holdfast.guardian.judge import Opinion
from holdfast.guardian.vocabulary import View
from holdfast.llm.panels.panel import Panel
from holdfast.llm.panels.sitting import Occasion
from schemas.panels import PanelMethod, PanelRequest, Voice

_QUESTION = (
    "May this action on a real system happen without asking a human? Choose `allow` only if it is clear what it does, "
    "that it is no wider than needed, and that a mistake in it is easily put right."
)


class PanelJudge:
    """Fulfils `holdfast.guardian.judge.Judge`: only a unanimous `allow` of enough voices allows."""

    def __init__(
        self, *, panel: Panel, voices: tuple[Voice, ...], live_floor: int = 2, timeout_s: float = 20
    ) -> None:
        self._panel = panel
        self._voices = voices
        self._live_floor = live_floor
        self._timeout_s = timeout_s

    async def consider(self, view: View) -> Opinion:
        action = view.action
        request = PanelRequest(
            question=_QUESTION,
            context=_context(view),
            voices=self._voices,
            method=PanelMethod.VOTE,
            choices=("allow", "require_approval"),
            live_floor=self._live_floor,
            threshold=1.0,
            voice_timeout_s=self._timeout_s,
        )
        occasion = Occasion(
            tenant=action.tenant, run_id=action.run_id, step_id=action.step_id, agent=action.agent
        )
        result = await self._panel.convene(occasion, request)
        by = f"panel {result.id}"
        if result.escalate or result.choice != "allow":
            return Opinion(decision="require_approval", why=result.reason or result.answer[:1000], by=by)
        return Opinion(decision="allow", why=result.answer[:1000], by=by)


def _context(view: View) -> str:
    call = {
        "tool": view.action.tool,
        "effect": view.tool.effect,
        "environment": view.action.environment,
        "arguments": view.action.arguments,
        "facts": view.facts.model_dump(mode="json", exclude_defaults=True),
    }
    return json.dumps(call, ensure_ascii=False, indent=1)[:100_000]
