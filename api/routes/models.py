"""Models: what they cost, which calls a run made, and which deployments are left alone. Nothing here calls a model: the
keys are with the llm workers."""

# ruff: noqa: FAST003 - the run in the path is looked up by `own_run`

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.problems import documented
from api.routes.runs import OwnRun
from api.services import Caller, Held
from schemas.models import Breaker, ModelCall, SpendView
from schemas.pages import Items

router = APIRouter(prefix="/v1", tags=["models"])


@router.get("/models/spend", responses=documented())
async def read_spend(
    held: Held,
    caller: Caller,
    scope: Literal["run", "agent", "tenant"] | None = None,
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


@router.get("/runs/{run_id}/model-calls", responses=documented(404))
async def list_model_calls(run: OwnRun, held: Held) -> Items[ModelCall]:
    """Each call of a run: where it went, why, what it cost, and what was passed over."""
    return Items(items=await held.spend.calls(run.tenant, run.id))
