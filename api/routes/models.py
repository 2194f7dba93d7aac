"""Models: what they cost, which calls a run made, and which deployments are left alone. Nothing here calls a model: the
keys are with the llm workers."""

# ruff: noqa: FAST003 - the run in the path is looked up by `own_run`

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from api.cursors import Cursor, Limit, page_by_time, position
from api.models import configured
from api.problems import documented
from api.routes.runs import OwnRun
from api.services import Caller, Held
from holdfast.adapters.postgres.plan_cache import PostgresPlanShelf
from holdfast.errors import NotFound
from holdfast.llm.showing import views_of
from schemas.base import Name
from schemas.models import (
    ArmReport,
    Breaker,
    DeploymentView,
    PlanCacheCounts,
    Price,
    PriceDraft,
    PriceView,
    RouteView,
    TrackRecord,
)
from schemas.pages import Items, Page
from schemas.spend import AgentSpendLimit, ModelCall, SpendLimit, SpendView

router = APIRouter(prefix="/v1", tags=["models"])


@router.get("/models", responses=documented())
async def list_models(held: Held) -> Items[DeploymentView]:
    """Deployments with their prices and their health, as this process is configured."""
    settings = await configured(held)
    _, breakers = await held.breakers.read()
    return Items(items=views_of(settings, breakers))


@router.get("/models/routes", responses=documented())
async def list_routes(held: Held) -> Items[RouteView]:
    """Which deployments each kind of task may go to, in order, as this process is configured."""
    routes = (await configured(held)).routes
    return Items(
        items=[RouteView(task=task, deployments=route.deployments) for task, route in routes.items()]
    )


@router.get("/models/prices", responses=documented())
async def list_prices(held: Held) -> Items[PriceView]:
    """Prices that were set while running; they stand above the list that ships."""
    found = await held.spend.prices()
    return Items(items=[PriceView(model=model, **dict(price)) for model, price in sorted(found.items())])


@router.put("/models/prices", responses=documented())
async def set_price(draft: PriceDraft, held: Held, caller: Caller) -> PriceView:
    """Say what a model costs, for all tenants. Workers read prices when they start."""
    price = Price(**draft.model_dump(exclude={"model"}))
    await held.spend.set_price(draft.model, price, by=caller.id)
    return PriceView(model=draft.model, **dict(price))


@router.post("/models/breakers/{deployment}/retry", responses=documented(404))
async def retry_deployment(
    deployment: Annotated[Name, Path(description="The deployment's name.")], held: Held
) -> Breaker:
    """Let a deployment be called again at once, after what made it fail was mended: its key, its account, its server."""
    _, before = await held.breakers.read()
    if deployment not in {breaker.deployment for breaker in before}:
        raise NotFound(
            f"No deployment {deployment} has failed.", remedy="GET /v1/models/breakers lists those that have."
        )
    await held.breakers.report(deployment, failure=None)
    _, after = await held.breakers.read()
    return next(breaker for breaker in after if breaker.deployment == deployment)


@router.get("/models/spend", responses=documented())
async def read_spend(
    held: Held,
    caller: Caller,
    scope: Annotated[
        Literal["run", "agent", "tenant"] | None, Query(description="Of runs, agents or the tenant.")
    ] = None,
    subject: Annotated[str | None, Query(max_length=120, description="One run, agent or tenant.")] = None,
) -> Items[SpendView]:
    """What was spent, what is reserved by calls under way, and the limits; at most 1,000 lines. A key bound to
    environments reads the cost of a run at the run."""
    found = await held.spend.totals(caller.tenant, scope=scope, subject=subject)
    return Items(items=[one for one in found if one.scope != "run" or caller.environments is None])


@router.get("/models/breakers", responses=documented())
async def list_breakers(held: Held) -> Items[Breaker]:
    """The health of each deployment that has failed at some time, as all workers see it."""
    _, found = await held.breakers.read()
    return Items(items=found)


@router.get("/models/records", responses=documented())
async def list_records(held: Held, caller: Caller) -> Items[TrackRecord]:
    """How each deployment has done at each kind of task in the last two weeks: what routes learn from."""
    return Items(items=await held.spend.all_records(caller.tenant))


@router.get("/models/experiments/{name}", responses=documented())
async def read_model_experiment(
    name: Annotated[Name, Path(description="The experiment's name.")], held: Held, caller: Caller
) -> Items[ArmReport]:
    """How the arms of an A/B split do, with the confidence there is; empty where none has been called."""
    return Items(items=await held.spend.experiment(caller.tenant, name))


@router.get("/models/plan-cache", responses=documented())
async def read_plan_cache(held: Held, caller: Caller) -> PlanCacheCounts:
    """Hits, misses and refusals of kept plans."""
    shelf = PostgresPlanShelf(database=held.database)
    return PlanCacheCounts.model_validate(await shelf.counts(caller.tenant))


@router.put("/models/limits", responses=documented())
async def set_limit(limit: AgentSpendLimit, held: Held, caller: Caller) -> SpendLimit:
    """Let models cost an agent no more than this. A call that would pass it is not made."""
    wanted = SpendLimit(scope="agent", subject=limit.agent, period=limit.period, limit_usd=limit.limit_usd)
    await held.spend.set_limit(caller.tenant, wanted)
    return wanted


@router.get("/runs/{run_id}/model-calls", responses=documented(404))
async def list_model_calls(
    run: OwnRun, held: Held, limit: Limit = 50, cursor: Cursor = None
) -> Page[ModelCall]:
    """Each call of a run: where it went, why, what it cost, and what was passed over."""
    found = await held.spend.calls(run.tenant, run.id, after=position(cursor), limit=limit + 1)
    items, following = page_by_time(found, limit)
    return Page(items=items, next=following)
