"""A runbook as a plan: its inputs bound, its blocks as calls of the run's own tools, every step citing its section."""

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.errors import Unprocessable
from holdfast.knowledge.binding import bind_inputs, bound_condition, bound_value, written_into
from schemas.base import JsonObject
from schemas.knowledge import RunbookStep, RunnableRunbook
from schemas.plans import (
    ApprovalStep,
    Citation,
    OnError,
    Plan,
    PlanSource,
    Step,
    StepRetry,
    ToolStep,
    WaitStep,
)
from schemas.stages import PlanProposal
from schemas.tools import Catalogue, ToolSpec

BY = "runbook"
_TOOLS: dict[str, str] = {"shell": "shell", "python": "python", "http": "http.request", "sql": "sql.query"}
_BODY_NAMES = ("command", "script", "code", "program", "query", "sql", "statement", "source", "text")
_STEP_TEXT = 1900


def plan_from_runbook(
    runbook: RunnableRunbook, goal: str, inputs: Mapping[str, Any], catalogue: Catalogue
) -> PlanProposal:
    """The plan; or the inputs that are missing for it; or, in `note`, why this runbook cannot run here."""
    bound = bind_inputs(runbook, goal=goal, given=inputs)
    if bound.missing:
        return PlanProposal(by=BY, missing=bound.missing, note=_ask(runbook, bound.missing, bound.problems))
    if not runbook.steps:
        return PlanProposal(by=BY, note=f"Runbook {runbook.id} has no step that a machine can take.")
    try:
        steps = tuple(_steps(runbook, bound.values, catalogue))
    except Unprocessable as error:
        return PlanProposal(by=BY, note=str(error))
    told = f" With {', '.join(bound.told)}." if bound.told else ""
    return PlanProposal(
        plan=_plan(runbook, steps, bound.values), by=BY, note=f"From runbook {runbook.title}.{told}"
    )


def cite(runbook: RunnableRunbook, section: str = "") -> Citation:
    return Citation(id=runbook.id, version=runbook.version, title=runbook.title, section=section)


def _plan(runbook: RunnableRunbook, steps: tuple[Step, ...], values: JsonObject) -> Plan:
    answer = runbook.answer
    return Plan(
        steps=steps,
        source=PlanSource.RUNBOOK,
        rationale=_rationale(runbook),
        answer=None if answer is None else written_into(answer, "tool", values),
        cites=(cite(runbook),),
    )


def _rationale(runbook: RunnableRunbook) -> str:
    version = "" if runbook.version is None else f" (version {runbook.version})"
    parts = [f"The steps of runbook {runbook.title!r}{version}, in its own order; no model was asked."]
    if runbook.summary:
        parts.append(runbook.summary)
    if runbook.preconditions:
        parts.append("It assumes: " + "; ".join(runbook.preconditions) + ".")
    if runbook.verification:
        parts.append("It has worked when: " + "; ".join(runbook.verification) + ".")
    return "\n".join(parts)[:8000]


def _ask(runbook: RunnableRunbook, missing: tuple[str, ...], problems: tuple[str, ...]) -> str:
    about = {each.name: each.description for each in runbook.inputs}
    wanted = "; ".join(f"{name} ({about[name]})" if about.get(name) else name for name in missing)
    wrong = f" Not usable: {'; '.join(problems)}." if problems else ""
    return f"Runbook {runbook.title!r} needs: {wanted}.{wrong}"


def _steps(runbook: RunnableRunbook, values: JsonObject, catalogue: Catalogue) -> Iterator[Step]:
    before: str | None = None
    for step in runbook.steps:
        needs = step.needs if step.needs is not None else ((before,) if before else ())
        yield _step(runbook, step, needs, values, catalogue)
        before = step.id


def _step(
    runbook: RunnableRunbook,
    step: RunbookStep,
    needs: tuple[str, ...],
    values: JsonObject,
    catalogue: Catalogue,
) -> Step:
    common: JsonObject = {
        "id": step.id,
        "title": step.title or step.section,
        "why": _why(runbook, step),
        "depends_on": needs,
        "when": bound_condition(step.when, values) if step.when else None,
        "for_each": step.for_each,
        "timeout_s": step.timeout_s,
        "retry": StepRetry(attempts=step.attempts),
        "on_error": OnError(step.on_error),
        "cites": (cite(runbook, step.section),),
    }
    if step.block == "approval":
        message = written_into(step.body, "approval", values)
        return ApprovalStep(**common, message=message or step.title or step.id, group=step.group)
    if step.block == "wait":
        return WaitStep(**common, **_wait(bound_value(step.arguments, values)))
    spec = _tool_for(step, catalogue)
    arguments = _arguments(runbook, step, spec, values)
    return ToolStep(
        **common,
        tool=spec.name,
        arguments=arguments,
        claimed_risk=step.risk,
        expect=bound_condition(step.condition, values) if step.condition else None,
    )


def _why(runbook: RunnableRunbook, step: RunbookStep) -> str:
    where = f"{runbook.title}, section {step.section!r}" if step.section else runbook.title
    expected = f" Expected: {step.expect}." if step.expect else ""
    return f"{where}.{expected}"[:_STEP_TEXT]


def _wait(arguments: JsonObject) -> JsonObject:
    seconds = arguments.get("seconds")
    kept = {key: arguments[key] for key in ("until", "event") if arguments.get(key)}
    return {**kept, "seconds": float(seconds)} if seconds is not None else kept


def _tool_for(step: RunbookStep, catalogue: Catalogue) -> ToolSpec:
    name = step.tool or _TOOLS.get(step.block)
    spec = catalogue.find(name) if name else None
    if spec is None:
        raise Unprocessable(
            f"Step {step.id} needs the tool {name or '(none named)'}, which this run does not have.",
            remedy="Give the agent this tool, or name another in the block.",
            step=step.id,
        )
    return spec


def _arguments(runbook: RunnableRunbook, step: RunbookStep, spec: ToolSpec, values: JsonObject) -> JsonObject:
    extra: JsonObject = bound_value(step.arguments, values)
    if step.block == "tool":
        return extra
    body = written_into(step.body, step.block, values, placeholders=not runbook.annotated)
    if step.block == "http":
        return {**_http(body), **extra}
    names = _properties(spec)
    body_name = next((name for name in _BODY_NAMES if name in names), _BODY_NAMES[0])
    arguments = {body_name: body, **extra}
    if step.output != "text" and "parse" in names:
        arguments.setdefault("parse", step.output)
    return arguments


def _properties(spec: ToolSpec) -> JsonObject:
    found = spec.input_schema.get("properties", {})
    return found if isinstance(found, dict) else {}


def _http(body: str) -> JsonObject:
    """`GET https://host/path`, header lines, an empty line, a body: as in an HTTP message."""
    head, _, content = body.strip().partition("\n\n")
    first, *lines = head.splitlines() or [""]
    method, _, url = first.strip().rpartition(" ")
    headers = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name
    }
    arguments: JsonObject = {"method": (method or "GET").upper(), "url": url}
    if headers:
        arguments["headers"] = headers
    if content.strip():
        arguments["body"] = content
    return arguments
