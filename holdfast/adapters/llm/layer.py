"""The model layer of one llm worker, put together from settings: what planner, judges and panels stand on."""

from typing import Self

from temporalio.client import Client

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.pacing import TaskQueuePacer
from holdfast.adapters.llm.providers import Providers
from holdfast.adapters.llm.settings import settings_from
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.model_breakers import PostgresBreakers
from holdfast.adapters.postgres.model_routes import PostgresModelRoutes
from holdfast.adapters.postgres.models import PostgresSpend
from holdfast.adapters.postgres.panels import PostgresPanelBook
from holdfast.adapters.postgres.plan_cache import PostgresPlanShelf
from holdfast.adapters.postgres.summaries import PostgresSummaries
from holdfast.ids import new_id
from holdfast.llm.action_judge import ModelJudge
from holdfast.llm.caller import ModelCaller
from holdfast.llm.configuring import judges_apart
from holdfast.llm.keeping import routes_of
from holdfast.llm.lessons import LessonShelf, LessonWriter
from holdfast.llm.observations import Observations
from holdfast.llm.panels.panel import Embed as EmbedAll
from holdfast.llm.panels.panel import Panel
from holdfast.llm.plan_cache import CachingPlanner, Embed
from holdfast.llm.plan_judge import PlanJudge
from holdfast.llm.planner import ModelPlanner, PlanListener
from holdfast.llm.ports import Pacer
from holdfast.llm.reviewing_planner import ReviewingPlanner
from holdfast.llm.routing_planner import RoutingPlanner
from holdfast.llm.summaries import Summariser
from holdfast.plan.checks import findings_in
from holdfast.ports import Planner
from holdfast.runtime.settings import ModelSettings as Section
from schemas.memory import MemoryStatus
from schemas.models import ModelSettings
from schemas.plans import Finding, Plan
from schemas.stages import PlanRequest


class ModelLayer:
    """Holds the providers' clients; close it with its worker. Without any model it still gives a planner."""

    def __init__(
        self, *, settings: ModelSettings, keys: KeyRing, database: Database, pacer: Pacer | None = None
    ) -> None:
        self.settings = settings
        self.providers = Providers(keys=keys)
        self.spend = PostgresSpend(database=database)
        self.model = ModelCaller(
            settings=settings,
            provider=self.providers,
            spend=self.spend,
            breakers=PostgresBreakers(database=database, rule=settings.breaker),
            new_call_id=lambda: new_id("call"),
            pacer=pacer,
            starts=PostgresModelRoutes(database=database),
        )
        self._database = database
        self._pacer: TaskQueuePacer | None = None

    @classmethod
    async def open(cls, section: Section, *, database: Database, temporal: Client | None = None) -> Self:
        """Prices set while running stand above those of the settings. Libraries are loaded now, not in a first call.
        Claims of workers that died in a call are settled, as nobody else will. Runs that begin from now on keep these
        routes. Without Temporal, nobody keeps the limits on calls a second."""
        settings = settings_from(section)
        live = await PostgresSpend(database=database).prices()
        settings = settings.model_copy(update={"prices": {**settings.prices, **live}})
        keys = {provider: key.get_secret_value() for provider, key in section.api_keys.items()}
        pacer = await TaskQueuePacer.open(temporal, settings) if temporal else None
        layer = cls(settings=settings, keys=KeyRing(keys), database=database, pacer=pacer)
        layer._pacer = pacer
        await layer.providers.load(settings.deployments)
        await layer.spend.presume_spent()
        await PostgresModelRoutes(database=database).publish(routes_of(settings))
        return layer

    async def close(self) -> None:
        if self._pacer:
            await self._pacer.close()
        await self.model.close()
        await self.providers.close()

    def planner(
        self,
        *,
        runbook: Planner,
        embed: Embed | None = None,
        cache: bool = True,
        listener: PlanListener | None = None,
    ) -> Planner:
        """Plans by a model where there is one: from the cache, or thought and judged."""
        return RoutingPlanner(
            model=self._thinking(embed=embed, cache=cache, listener=listener)
            if self.settings.deployments
            else None,
            runbook=runbook,
            when_away=self.settings.when_away,
        )

    def _thinking(self, *, embed: Embed | None, cache: bool, listener: PlanListener | None) -> Planner:
        planner: Planner = ReviewingPlanner(
            planner=self._model_planner(listener),
            judge=PlanJudge(model=self.model),
            check=_check,
            always=self._reviews,
        )
        if cache:
            shelf = PostgresPlanShelf(database=self._database)
            planner = CachingPlanner(planner=planner, shelf=shelf, check=_check, embed=embed)
        return planner

    def _model_planner(self, listener: PlanListener | None) -> ModelPlanner:
        return ModelPlanner(
            model=self.model,
            repairs=self.settings.repairs,
            timeout_s=self.settings.timeout_s,
            history=self.spend.past_success,
            listener=listener,
            observations=Observations(
                summariser=Summariser(model=self.model),
                artifacts=PostgresArtifacts(database=self._database),
                shelf=PostgresSummaries(database=self._database),
            ),
        )

    @property
    def _reviews(self) -> bool:
        return {"always": True, "never": False, "auto": judges_apart(self.settings)}[self.settings.review]

    def lessons(self, *, shelf: LessonShelf, status: MemoryStatus) -> LessonWriter | None:
        """Looks back at runs; None where no model is configured, and rules alone do."""
        return (
            LessonWriter(model=self.model, shelf=shelf, status=status) if self.settings.deployments else None
        )

    def action_judge(self) -> ModelJudge | None:
        """For the guardian; None where no model is configured, and people are asked instead."""
        return ModelJudge(model=self.model) if self.settings.deployments else None

    def panel(self, *, embed: EmbedAll | None = None) -> Panel:
        """`embed` tells answers that mean the same in other words; without it, words are compared."""
        return Panel(
            model=self.model,
            keeping=self.model.keeping,
            book=PostgresPanelBook(database=self._database),
            new_panel_id=lambda: new_id("panel"),
            embed=embed,
        )


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
