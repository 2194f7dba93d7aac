"""Who sits on a panel: the voices that were asked for, each with a model that is configured here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle

from holdfast.llm.prices import PriceBook
from schemas.chat import TaskClass
from schemas.models import Deployment, ModelSettings, Price
from schemas.panels import Voice


@dataclass(frozen=True)
class Seat:
    """One place at the table. Where `problem` says something, nobody can sit there, and the voice is dead."""

    name: str
    deployment: str
    role: str = ""
    price: Price | None = None
    problem: str = ""


class Bench:
    """The models of this deployment that may be voices."""

    def __init__(self, *, settings: ModelSettings) -> None:
        self._known = {each.name: each for each in settings.deployments}
        self._prices = PriceBook(settings=settings)
        self._serving = _serving(settings)

    def seats(self, voices: Sequence[Voice]) -> tuple[Seat, ...]:
        """Voices without a model are given those that serve panels, in turn; without voices, each of these sits once."""
        asked = voices or [Voice(name=each.name, model=each.name) for each in self._serving]
        turn = cycle(self._serving) if self._serving else iter(())
        return tuple(self._seat(voice, name, turn) for voice, name in zip(asked, _names(asked), strict=True))

    def _seat(self, voice: Voice, name: str, turn: Iterator[Deployment]) -> Seat:
        found = self._find(voice.model) if voice.model else next(turn, None)
        if found is None:
            there_are = f"there are {', '.join(self._known)}" if self._known else "there is none"
            problem = f"No model {voice.model or 'for panels'} is configured; {there_are}."
            return Seat(name=name, deployment=voice.model or "none", role=voice.role, problem=problem)
        return Seat(name=name, deployment=found.name, role=voice.role, price=self._prices.price_of(found))

    def _find(self, wanted: str) -> Deployment | None:
        """By the deployment's name, or its model's."""
        by_model = (each for each in self._known.values() if each.model == wanted)
        return self._known.get(wanted) or next(by_model, None)


def _serving(settings: ModelSettings) -> Sequence[Deployment]:
    """Those of the route for panels; all of them where it names fewer than two, as one model alone is no panel."""
    route = settings.routes.get(TaskClass.PANEL)
    named = [each for each in settings.deployments if route and each.name in route.deployments]
    return named if len(named) > 1 else settings.deployments


def _names(voices: Sequence[Voice]) -> Iterator[str]:
    taken = {voice.name for voice in voices}
    free = (name for name in (f"voice-{number}" for number in count(1)) if name not in taken)
    for voice in voices:
        yield voice.name or next(free)
