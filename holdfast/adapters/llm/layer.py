"""The model layer of one llm worker, put together from settings: what planner, judges and panels stand on."""

import json
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.providers import Providers
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.model_breakers import PostgresBreakers
from holdfast.adapters.postgres.models import PostgresSpend
from holdfast.adapters.postgres.panels import PostgresPanelBook
from holdfast.adapters.postgres.plan_cache import PostgresPlanShelf
from holdfast.errors import Misconfigured
from holdfast.ids import new_id
from holdfast.llm.action_judge import ModelJudge
from holdfast.llm.caller import ModelCaller
from holdfast.llm.configuring import configured
from holdfast.llm.panels.panel import Panel
from holdfast.llm.plan_cache import CachingPlanner, Embed
from holdfast.llm.plan_judge import PlanJudge
from holdfast.llm.planner import ModelPlanner, PlanListener
from holdfast.llm.reviewing_planner import ReviewingPlanner
from holdfast.llm.routing_planner import RoutingPlanner
from holdfast.plan.checks import findings_in
from holdfast.ports import Planner
from holdfast.runtime.settings import ModelSettings as Section
from schemas.models import ModelSettings, Price, TaskClass
from schemas.plans import Finding, Plan
from schemas.stages import PlanRequest

_LONGEST_CALL_S = 3600.0
_PRICES = TypeAdapter(dict[str, Price])


class ModelLayer:
    """Holds the providers' clients; close it with its worker. Without any model it still gives a planner."""

    def __init__(self, *, settings: ModelSettings, keys: KeyRing, database: Database) -> None:
        self.settings = settings
        self.providers = Providers(keys=keys)
        self.spend = PostgresSpend(database=database)
        self.model = ModelCaller(
            settings=settings,
            provider=self.providers,
            spend=self.spend,
            breakers=PostgresBreakers(database=database, rule=settings.breaker),
            new_call_id=lambda: new_id("call"),
        )
        self._database = database

    @classmethod
    async def open(cls, section: Section, *, database: Database) -> Self:
        """Prices set while running stand above those of the settings. Libraries are loaded now, not in a first call.
        Claims of workers that died in a call are settled, as nobody else will."""
        settings = settings_from(section)
        live = await PostgresSpend(database=database).prices()
        settings = settings.model_copy(update={"prices": {**settings.prices, **live}})
        keys = {provider: key.get_secret_value() for provider, key in section.api_keys.items()}
        layer = cls(settings=settings, keys=KeyRing(keys), database=database)
        await layer.providers.load(settings.deployments)
        await layer.spend.presume_spent(older_than_s=_LONGEST_CALL_S)
        return layer

    async def close(self) -> None:
        await self.providers.close()

    def planner(
        self,
        *,
        runbook: Planner,
        embed: Embed | None = None,
        cache: bool = True,
        listener: PlanListener | None = None,
    ) -> Planner:
        """Plans by a model where there is one: from the cache, or thought and, if another model judges, reviewed."""
        return RoutingPlanner(
            model=self._thinking(embed=embed, cache=cache, listener=listener)
            if self.settings.deployments
            else None,
            runbook=runbook,
            when_away=self.settings.when_away,
        )

    def _thinking(self, *, embed: Embed | None, cache: bool, listener: PlanListener | None) -> Planner:
        planner: Planner = ModelPlanner(
            model=self.model,
            repairs=self.settings.repairs,
            timeout_s=self.settings.timeout_s,
            history=self.spend.past_success,
            listener=listener,
        )
        if self._has_own_judge:
            planner = ReviewingPlanner(planner=planner, judge=PlanJudge(model=self.model))
        if cache:
            shelf = PostgresPlanShelf(database=self._database)
            planner = CachingPlanner(planner=planner, shelf=shelf, check=_check, embed=embed)
        return planner

    @property
    def _has_own_judge(self) -> bool:
        """A model that reviews its own plan mostly likes it: plans are reviewed where another model judges."""
        plan, judge = (self.settings.routes.get(task) for task in (TaskClass.PLAN, TaskClass.JUDGE))
        return judge is not None and plan is not None and judge.deployments[:1] != plan.deployments[:1]

    def action_judge(self) -> ModelJudge | None:
        """For the guardian; None where no model is configured, and people are asked instead."""
        return ModelJudge(model=self.model) if self.settings.deployments else None

    def panel(self) -> Panel:
        book = PostgresPanelBook(database=self._database)
        return Panel(model=self.model, book=book, new_panel_id=lambda: new_id("panel"))


def settings_from(section: Section) -> ModelSettings:
    settings = configured(
        default=section.default,
        routes=section.routes,
        bases=section.api_bases,
        keys=section.api_keys,
        allow_unpriced=section.allow_unknown_price,
    )
    prices = _prices_in(section.prices_file)
    return settings.model_copy(update={"prices": prices, "timeout_s": section.timeout_s})


def _prices_in(file: Path | None) -> dict[str, Price]:
    if file is None:
        return {}
    try:
        return _PRICES.validate_python(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise Misconfigured(
            f"The prices in {file} cannot be read: {error}",
            remedy='Write {"model": {"input": 1.0, "output": 2.0}}, in US dollars for a million tokens.',
        ) from error


def _check(plan: Plan, request: PlanRequest) -> list[Finding]:
    found = findings_in(
        plan,
        catalogue=request.catalogue,
        inputs=request.inputs,
        limits=request.agent.limits,
        done=tuple(request.done),
        agents=(*request.agent.delegates, request.agent.name),
    )
    return [finding for finding in found if finding.fatal]
