"""What a run needs of panels. Light to import: orchestration workers name the activity and never sit themselves."""

from typing import Protocol

from schemas.panels import ConveneRequest, PanelResult


class Panels(Protocol):
    async def sit(self, request: ConveneRequest) -> PanelResult:
        """Under one id, once: a sitting that broke off is taken up where it was."""
        ...
