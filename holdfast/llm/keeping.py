"""A run keeps the routes it began with, and what is said about models now may only take away: a deployment that was
withdrawn since, or has become another model, is never called for it.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.llm.ports import StartingRoutes
from schemas.chat import TaskClass
from schemas.models import ModelRoutes, ModelSettings, Route

_MOST_RUNS = 2048


@dataclass(frozen=True)
class Kept:
    """What holds for one run: its routes, what it began with and may not be called any more, with the reason, and the
    routes of now, whose limits hold beside its own."""

    settings: ModelSettings
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    now: Mapping[TaskClass, Route] = field(default_factory=dict)


def routes_of(settings: ModelSettings) -> ModelRoutes:
    """What a run that begins now keeps."""
    models = {each.name: each.model for each in settings.deployments}
    return ModelRoutes(models=models, routes=settings.routes)


def kept(now: ModelSettings, start: ModelRoutes) -> Kept:
    """Places, keys, prices and limits are those of now; which deployments, in which order, those of the start."""
    there = {each.name: each for each in now.deployments}
    usable, withdrawn = [], {}
    for name, model in start.models.items():
        if name not in there:
            withdrawn[name] = "it was withdrawn after the run began"
        elif there[name].model != model:
            withdrawn[name] = f"it was {model} when the run began, and is {there[name].model} now"
        else:
            usable.append(there[name])
    settings = now.model_copy(update={"deployments": tuple(usable), "routes": start.routes})
    return Kept(settings, withdrawn, now.routes)


class Keeping:
    """What holds for each run. Its start never changes, so it is read once."""

    def __init__(self, *, settings: ModelSettings, starts: StartingRoutes | None) -> None:
        self._settings = settings
        self._starts = starts
        self._known: OrderedDict[str, Kept] = OrderedDict()

    async def of(self, tenant: str, run_id: str | None) -> Kept:
        if run_id is None or self._starts is None:
            return Kept(self._settings)
        found = self._known.get(run_id)
        if found is None:
            start = await self._starts.of_run(tenant, run_id)
            found = kept(self._settings, start) if start else Kept(self._settings)
            self._known[run_id] = found
            while len(self._known) > _MOST_RUNS:
                self._known.popitem(last=False)
        return found
