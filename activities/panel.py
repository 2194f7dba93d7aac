"""Putting a question to several models. On the `llm` queue, where the model keys are."""

from temporalio import activity

from activities.heartbeat import heartbeats
from holdfast.llm.panels.ports import Panels
from holdfast.plan.panels import brief
from schemas.panels import ConveneRequest, PanelResult


class PanelActivities:
    def __init__(self, *, panels: Panels) -> None:
        self._panels = panels

    @activity.defn
    async def convene(self, request: ConveneRequest) -> PanelResult:
        """Safe to repeat: answers are kept as they come, and a panel that has its result gives it again."""
        async with heartbeats():
            return brief(await self._panels.sit(request))
