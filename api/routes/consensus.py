"""Consensus: a question put to several models, directly or by a step of a run, and what that says about the models."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.consensus import read_consensus, wait_for_word
from api.cursors import Cursor, Limit, page_by_time, position
from api.problems import documented
from api.services import LONGEST_WAIT_S, Caller, Held, Operation
from api.start import start_run
from holdfast.consensus import run_for
from holdfast.llm.panels.analytics import analysed
from schemas.pages import Page
from schemas.panels import Consensus, ConsensusRequest, PanelAnalytics, PanelResult

router = APIRouter(prefix="/v1/consensus", tags=["consensus"])

ConsensusId = Annotated[
    str, Path(pattern=r"^(run|panel)_[0-9a-z]{20,40}$", description="The id of the run, or of one panel.")
]


@router.post(
    "", status_code=202, responses={200: {"model": Consensus, "description": "It is over."}, **documented()}
)
async def ask_panel(
    request: ConsensusRequest,
    response: Response,
    held: Held,
    caller: Caller,
    operation: Operation,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the panel's word.")
    ] = 0,
) -> Consensus:
    """Put a question to a panel. It is a run of one step: durable, on its agent's and tenant's budget, to be followed,
    cancelled and, where there is no consensus, decided by people like any other. `wait` answers with the result if it
    is there in time."""
    run = await start_run(held, run_for(request), caller, operation=operation)
    response.headers["Location"] = f"/v1/consensus/{run.id}"
    if wait:
        run = await wait_for_word(held, run, seconds=wait)
    response.status_code = 200 if run.status.ended else 202
    return await read_consensus(held, caller, run.id)


@router.get("", responses=documented())
async def list_panels(
    held: Held,
    caller: Caller,
    limit: Limit = 50,
    cursor: Cursor = None,
    run_id: Annotated[str | None, Query(max_length=50, description="The panels of one run.")] = None,
) -> Page[PanelResult]:
    """What panels said, newest first: those asked directly, those of steps, and those of the guardian."""
    found = await held.panels.page(
        caller.tenant,
        run_id=run_id,
        environments=caller.environments,
        after=position(cursor),
        limit=limit + 1,
    )
    items, following = page_by_time(found, limit)
    return Page(items=items, next=following)


@router.get("/analytics", responses=documented())
async def read_analytics(
    held: Held,
    caller: Caller,
    days: Annotated[int, Query(ge=1, le=365, description="Panels of the last days, 2,000 at most.")] = 90,
) -> PanelAnalytics:
    """Which models agree, how often each stood with consensus, how scores are spread, and what each method costs."""
    return analysed(await held.panels.since(caller.tenant, days=days, environments=caller.environments))


@router.get("/{consensus_id}", name="read_consensus", responses=documented(404))
async def read_one(consensus_id: ConsensusId, held: Held, caller: Caller) -> Consensus:
    """One question: what was said, by whom it was decided, or whom it waits for."""
    return await read_consensus(held, caller, consensus_id)
