"""A panel as the guardian's second opinion, for actions that cannot be undone: one doubt is enough to ask a human."""

import json

from holdfast.guardian.vocabulary import View
from holdfast.llm.panels.panel import Panel
from holdfast.llm.panels.sitting import Occasion
from schemas.panels import PanelMethod, PanelRequest, Voice
from schemas.verdicts import Opinion

_QUESTION = (
    "May this action on a real system happen without asking a human? Choose `allow` only if it is clear what it does, "
    "that it is no wider than needed, and that a mistake in it is easily put right."
)


class PanelJudge:
    """Fulfils `holdfast.guardian.judge.Judge`: only a unanimous `allow` of enough voices allows. Without voices named,
    every model that serves panels has one."""

    def __init__(
        self, *, panel: Panel, voices: tuple[Voice, ...] = (), live_floor: int = 2, timeout_s: float = 20
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
        agreed = result.choice == "allow" and not result.escalate
        return Opinion(
            decision="allow" if agreed else "require_approval",
            why=(result.answer if agreed else result.reason or result.answer)[:1000],
            by=result.id,
            usable=result.live >= self._live_floor,
            cost_usd=result.cost_usd,
        )


def _context(view: View) -> str:
    call = {
        "tool": view.action.tool,
        "effect": view.tool.effect,
        "environment": view.action.environment,
        "arguments": view.action.arguments,
        "facts": view.facts.model_dump(mode="json", exclude_defaults=True),
    }
    return json.dumps(call, ensure_ascii=False, indent=1)[:100_000]
