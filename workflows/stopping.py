"""How a run is stopped on purpose, and what it undoes then."""

from temporalio import workflow

from activities.story import StoryActivities
from holdfast.plan import tales
from holdfast.plan.progress import Progress
from holdfast.plan.references import ReferenceProblem, references_in, resolve
from holdfast.plan.undoing import undoable
from schemas.actions import Action
from schemas.base import JsonObject
from schemas.events import EventType
from schemas.plans import StepRetry, StepState, ToolStep
from schemas.runs import RunInput, RunStatus, StepOutcome
from schemas.stages import JudgeRequest, LookUpRequest, StepsLookedUp
from workflows import options
from workflows.performer import Performer
from workflows.teller import Teller

_MOST_TRIES = 10
"""Of one undoing in one cancelling, as schemas.plans.StepRetry has it: those of the next have numbers of their own."""


class RunStopped(Exception):
    """The run ends here, and this is how."""

    def __init__(self, status: RunStatus, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


async def compensate(progress: Progress, start: RunInput, performer: Performer, teller: Teller) -> list[str]:
    """Undo, last first, what succeeded and says how to undo it. Each undoing is judged like any other action. What comes
    back could not be undone."""
    steps = undoable(progress.plan.steps if progress.plan else (), start.catalogue)
    if not steps:
        return []
    progress.paused = False
    await teller.undoes()
    found = await _ends_of(steps, teller)
    progress.outcomes.update(found.outcomes)
    left = []
    for step in reversed(steps):
        for item in _done(step, found):
            state = await _undo(step, item, progress, start, performer, teller)
            if state is not StepState.SUCCEEDED:
                left.append(step.id if item is None else f"{step.id}[{item}]")
    return left


def _done(step: ToolStep, found: StepsLookedUp) -> list[int | None]:
    """The step as a whole, or, of a `for_each`, each call that was made, whatever became of the others; last first."""
    if step.for_each is not None:
        items = found.items.get(step.id, {})
        return [item for item in sorted(items, reverse=True) if items[item].state is StepState.SUCCEEDED]
    outcome = found.outcomes.get(step.id)
    return [None] if outcome is not None and outcome.state is StepState.SUCCEEDED else []


async def _undo(
    step: ToolStep,
    item: int | None,
    progress: Progress,
    start: RunInput,
    performer: Performer,
    teller: Teller,
) -> StepState:
    request = _undoing(step, item, progress, start, teller)
    if request is None:
        return StepState.FAILED
    result = await _tried(request, step.retry, performer)
    undone: JsonObject = {"undone": step.id, "state": result.state, "tool": request.action.tool}
    if item is not None:
        undone["item"] = item
    await teller.tell(teller.event(EventType.RUN_MESSAGE, undone, step=step.id))
    return result.state


async def _tried(request: JudgeRequest, retry: StepRetry, performer: Performer) -> StepOutcome:
    """As often as the step itself may be tried. What is denied, or may have happened, is not tried again."""
    pause, left = retry.wait_s, retry.attempts - 1
    while True:
        [result] = await performer.perform([request.model_copy(update={"final": left == 0})])
        if left == 0 or result.state is not StepState.FAILED or tales.is_in_doubt(result):
            return result
        await workflow.sleep(pause, summary=f"{request.step_title}: before it is tried again")
        pause, left = pause * retry.backoff, left - 1
        action = request.action.model_copy(update={"attempt": request.action.attempt + 1})
        request = request.model_copy(update={"action": action})


async def _ends_of(steps: list[ToolStep], teller: Teller) -> StepsLookedUp:
    """As the story has them: a call may have ended well while the run was being stopped, or in the row of one that was.
    With them the steps whose outputs their undoing reads."""
    names = dict.fromkeys(name for step in steps for name in (step.id, *_read_by(step)))
    return await workflow.execute_local_activity_method(
        StoryActivities.look_up,
        LookUpRequest(scope=teller.scope, steps=tuple(names)),
        **options.local("what there is to undo"),
    )


def _read_by(step: ToolStep) -> list[str]:
    arguments = step.compensation.arguments if step.compensation else {}
    references = [*references_in(arguments), *references_in(step.for_each or "")]
    return [reference.step for reference in references if reference.step]


def _undoing(
    step: ToolStep, item: int | None, progress: Progress, start: RunInput, teller: Teller
) -> JudgeRequest | None:
    if step.compensation is None:
        return None
    tool = start.catalogue.find(step.compensation.tool)
    try:
        scope = progress.scope(start.run_id)
        if item is not None:
            scope["item"] = resolve(step.for_each, scope)[item]
        arguments = resolve(step.compensation.arguments, scope)
    except (ReferenceProblem, LookupError) as problem:
        workflow.logger.warning("compensation_unreadable", extra={"step": step.id, "problem": str(problem)})
        return None
    if tool is None:
        return None
    action = Action(
        tenant=start.tenant,
        run_id=start.run_id,
        step_id=f"undo_{step.id}"[:63],
        item=item,
        attempt=1 + progress.generation * _MOST_TRIES,
        tool=tool.name,
        tool_version=tool.version,
        arguments=arguments,
        environment=start.environment,
        agent=start.agent.name,
        runbook=start.runbook,
        labels=start.labels,
        tainted=progress.tainted(step.compensation.arguments, for_each=step.for_each),
        swayed=progress.is_swayed(step.id),
    )
    return JudgeRequest(
        scope=teller.scope,
        action=action,
        tool=tool,
        step_title=f"undo {step.id}",
        bundle=start.bundle,
        opens=item is None,
        closes=item is None,
    )
