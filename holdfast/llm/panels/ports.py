"""What a run needs of panels. Light to import: orchestration workers name the activity and never sit themselves."""

from dataclasses import dataclass
from typing import Protocol

from schemas.panels import ConveneRequest, PanelResult


@dataclass(frozen=True)
class Said:
    """One answer as the voice wrote it, kept as it comes: a worker that takes over after a crash asks nobody twice."""

    turn: str
    text: str
    cost_usd: float
    latency_ms: float


class Notes(Protocol):
    """Where a sitting keeps what it has heard."""

    def find(self, turn: str) -> Said | None: ...

    async def keep(self, said: Said) -> None: ...


class Panels(Protocol):
    async def sit(self, request: ConveneRequest) -> PanelResult:
        """Under one id, once: a sitting that broke off is taken up where it was."""
        ...
