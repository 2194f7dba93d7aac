"""Tools as people look after them: switched on and off, how they fare, what was refused, and one call by hand."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.problems import documented
from api.routes.tools import ToolPath
from api.services import Caller, Held, Operation
from api.shelf import refuse_to_reach_further
from api.start import start_run
from holdfast.errors import NotFound
from schemas.pages import Items
from schemas.plans import Plan, ToolStep
from schemas.runs import Run, RunRequest
from schemas.tools import ToolCallRequest, ToolProblem, ToolState, ToolSwitch, ToolUse

router = APIRouter(tags=["tools"])

_DAY_S = 86_400.0


@router.get("/v1/tool-states", name="list_tool_states", responses=documented())
async def list_states(
    held: Held,
    caller: Caller,
    name: Annotated[str | None, Query(max_length=120, description="Of one tool.")] = None,
) -> Items[ToolState]:
    """Every version of every tool, also those that are withdrawn or switched off."""
    return Items(items=await held.tool_desk.states(caller.tenant, name))


@router.get("/v1/tool-uses", name="list_tool_uses", responses=documented())
async def list_uses(
    held: Held,
    caller: Caller,
    tool: Annotated[str | None, Query(max_length=120, description="Of one tool.")] = None,
    days: Annotated[float, Query(gt=0, le=365, description="How far to look back.")] = 7,
) -> Items[ToolUse]:
    """How each version fared: calls, failures by kind, latencies, last use."""
    return Items(items=await held.tool_desk.uses(caller.tenant, seconds=days * _DAY_S, tool=tool))


@router.get("/v1/tool-problems", name="list_tool_problems", responses=documented())
async def list_problems(held: Held, caller: Caller) -> Items[ToolProblem]:  # noqa: ARG001 - the door asks who calls
    """Manifests and servers that workers refused. What stood before them still stands."""
    return Items(items=await held.tool_desk.problems())


@router.put("/v1/tools/{name}/switch", responses=documented(404, 413, 415))
async def switch_tool(name: ToolPath, switch: ToolSwitch, held: Held, caller: Caller) -> Items[ToolState]:
    """Turn a tool on or off for this tenant, everywhere or in one environment. Runs under way keep what they have."""
    refuse_to_reach_further(caller, "" if switch.environment == "*" else switch.environment)
    if not await held.tool_desk.states(caller.tenant, name):
        raise NotFound(f"There is no tool {name}.", remedy="GET /v1/tools lists them.")
    await held.tool_desk.switch(caller.tenant, name, switch, by=caller.id)
    return Items(items=await held.tool_desk.states(caller.tenant, name))


@router.post("/v1/tools/{name}/calls", status_code=202, responses=documented(404, 409, 413, 415, 422, 503))
async def call_tool(
    name: ToolPath, call: ToolCallRequest, held: Held, caller: Caller, operation: Operation
) -> Run:
    """Call one tool, as a run of one step: judged, recorded and stopped like any other."""
    catalogue = await held.tools.tools(caller.tenant, call.environment)
    if catalogue.find(name) is None:
        raise NotFound(
            f"There is no tool {name} in {call.environment}.",
            remedy="GET /v1/tools lists those that are offered there.",
        )
    step = ToolStep(id="call", tool=name, arguments=call.arguments)
    request = RunRequest(
        goal=f"Call {name}",
        environment=call.environment,
        plan=Plan(steps=(step,)),
        on_failure="fail",
        labels={"by": "tool-call"},
    )
    return await start_run(held, request, caller, operation=operation)
