"""From a tool step to the question that its call is: which action exactly, and what the guardian is told beside it.

The workflow asks so when a step's turn comes, and the llm worker as soon as a model has thought of a move. Both come to the
same digest, or the workflow asks again.
"""

from typing import Any

from holdfast.plan.progress import Progress
from holdfast.plan.references import ReferenceProblem, resolve
from schemas.actions import Action
from schemas.plans import Step, ToolStep
from schemas.runs import RunInput
from schemas.stages import JudgeRequest, RunScope
from schemas.tools import ToolSpec


def scope_of(start: RunInput) -> RunScope:
    return RunScope(
        tenant=start.tenant, run_id=start.run_id, agent=start.agent.name, environment=start.environment
    )


def question_of(
    step: ToolStep,
    start: RunInput,
    progress: Progress,
    *,
    attempt: int,
    item: int | None = None,
    value: Any = None,
    final: bool = True,
) -> JudgeRequest:
    """Raises ReferenceProblem where the step names what is not there."""
    tool = _tool(step, start)
    action = Action(
        tenant=start.tenant,
        run_id=start.run_id,
        step_id=step.id,
        item=item,
        attempt=attempt,
        tool=tool.name,
        tool_version=tool.version,
        arguments=resolve(step.arguments, progress.scope(start.run_id, value)),
        environment=start.environment,
        agent=start.agent.name,
        runbook=start.runbook,
        labels=start.labels,
        tainted=progress.tainted(step.arguments, for_each=step.for_each),
        swayed=progress.is_swayed(step.id),
        claimed_risk=step.claimed_risk,
    )
    return JudgeRequest(
        scope=scope_of(start),
        action=action,
        tool=tool,
        step_title=step.title,
        step_why=step.why,
        bundle=start.bundle,
        opens=not item,
        closes=item is None and step.expect is None,
        final=final,
        move=step if start.mode == "react" else None,
    )


def first_question_of(step: ToolStep, start: RunInput, progress: Progress) -> JudgeRequest:
    """About the next call of a step that is one call."""
    attempt = progress.attempts(step.id) + 1
    return question_of(step, start, progress, attempt=attempt, final=step.retry.attempts == 1)


def questions_known(step: ToolStep, start: RunInput, progress: Progress) -> list[JudgeRequest]:
    """About each call that the step would make now: none where not all of them are known yet."""
    attempt = progress.attempts(step.id) + 1
    try:
        if step.for_each is None:
            return [question_of(step, start, progress, attempt=attempt)]
        values = resolve(step.for_each, progress.scope(start.run_id))
        return [
            question_of(step, start, progress, attempt=attempt, item=item, value=value)
            for item, value in enumerate(values if isinstance(values, list) else [])
        ]
    except ReferenceProblem:
        return []


def is_one_call(step: Step) -> bool:
    """Whether nothing is to be decided about the step but whether its call may go out."""
    return (
        isinstance(step, ToolStep)
        and step.when is None
        and step.for_each is None
        and step.expect is None
        and step.timeout_s is None
    )


def _tool(step: ToolStep, start: RunInput) -> ToolSpec:
    tool = start.catalogue.find(step.tool)
    if tool is None:
        raise ReferenceProblem(f"there is no tool {step.tool} in this run's catalogue")
    return tool
