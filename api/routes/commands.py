"""What may be said to a run: pause, resume, cancel, fork, and what happened outside."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from api.commanding import commanded, said
from api.problems import documented
from api.resuming import fork_of, remember, started_again
from api.routes.runs import OwnRun
from api.services import Caller, Held, Operation
from api.start import launch
from holdfast.ids import new_id
from schemas.agents import RunLimits
from schemas.base import JsonObject, Request, StepId, strictly
from schemas.commands import (
    CancelCommand,
    CommandReport,
    Instruction,
    PauseCommand,
    PostedEvent,
    ResumeCommand,
)
from schemas.plans import Plan
from schemas.runs import Run

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["runs"], responses=documented(404, 409, 413, 415, 503))


class PauseRequest(Request):
    reason: str = Field(default="", max_length=500)


class CancelRequest(Request):
    mode: Literal["graceful", "force"] = Field(
        default="graceful", description="`graceful` makes the plan's compensations first."
    )
    reason: str = Field(default="", max_length=500)


class ResumeRequest(Request):
    step: StepId | None = Field(
        default=None, description="The failed step to try again; none means all that failed."
    )
    arguments: JsonObject | None = Field(default=None, description="New arguments for that step.")
    skip: bool = Field(default=False, description="Count the step as skipped instead.")
    plan: Annotated[Plan, strictly(Plan)] | None = Field(
        default=None, description="A new plan; steps that succeeded keep their outcome."
    )
    limits: Annotated[RunLimits, strictly(RunLimits)] | None = None
    inputs: JsonObject = {}
    agent_version: int | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="For an ended run: go on with this version of its agent.",
    )


class ForkRequest(Request):
    from_step: StepId | None = Field(
        default=None,
        description="Do this step, and all that depend on it, again; none means all that failed.",
    )
    inputs: JsonObject = {}


class PostRequest(Request):
    name: str = Field(min_length=1, max_length=200, examples=["deploy.finished"])
    data: JsonObject = {}


class InstructionRequest(Request):
    text: str = Field(min_length=1, max_length=8000)


class Posted(Request):
    """What was passed on to the run."""

    id: str


@router.post("/pause", name="pause_run")
async def pause(run: OwnRun, request: PauseRequest, held: Held, caller: Caller) -> CommandReport:
    """Start nothing new; what is under way ends."""
    return await commanded(held, run, "pause", PauseCommand(reason=request.reason, by=caller.id))


@router.post("/resume", name="resume_run")
async def resume(run: OwnRun, request: ResumeRequest, held: Held, caller: Caller) -> CommandReport:
    """Go on: after a pause, after a failed step with whatever was mended, or from the last good step of a run that has
    ended. What succeeded is not done again."""
    command = ResumeCommand(by=caller.id, **_given(request, without={"agent_version"}))
    if command.limits is not None:
        await held.spend.limit_run(run.tenant, run.id, command.limits)
    if not run.status.ended:
        report = await commanded(held, run, "resume", command)
        await remember(held, run, command, None)
        return report
    run_input = await started_again(held, run, command, agent_version=request.agent_version)
    await held.runs.take_up(run, by=caller.id)
    await remember(held, run, command, run_input if request.agent_version else None)
    return CommandReport(status="running", note="A new execution goes on from the last good step.")


@router.post("/cancel", name="cancel_run", status_code=202)
async def cancel(run: OwnRun, request: CancelRequest, held: Held, caller: Caller) -> CommandReport:
    """End the run. It is `cancelled` once its sandboxes are dead."""
    command = CancelCommand(mode=request.mode, reason=request.reason, by=caller.id)
    return await commanded(held, run, "cancel", command)


@router.post("/fork", name="fork_run", status_code=202)
async def fork(
    run: OwnRun, request: ForkRequest, response: Response, held: Held, caller: Caller, operation: Operation
) -> Run:
    """A new run that begins with what this one has done already."""
    run_input = await fork_of(held, run, caller, request.from_step, request.inputs, operation=operation)
    forked = await launch(held, run_input, forked_from=run.id)
    response.headers["Location"] = f"/v1/runs/{forked.id}"
    return forked


@router.post("/events", name="post_run_event", status_code=202)
async def post_event(
    run: OwnRun, request: PostRequest, held: Held, caller: Caller, operation: Operation
) -> Posted:
    """Tell the run that something happened outside; a `wait` step may be waiting for it."""
    event = PostedEvent(id=operation or new_id("evt"), name=request.name, data=request.data, by=caller.id)
    await said(held, run, "post_event", event)
    return Posted(id=event.id)


@router.post("/instructions", name="instruct_run", status_code=202)
async def instruct(
    run: OwnRun, request: InstructionRequest, held: Held, caller: Caller, operation: Operation
) -> Posted:
    """A further instruction for the agent, heeded from its next plan or move on."""
    instruction = Instruction(id=operation or new_id("ins"), text=request.text, by=caller.id)
    await said(held, run, "instruct", instruction)
    return Posted(id=instruction.id)


def _given(request: Request, *, without: set[str]) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.model_fields_set - without}
