"""What can be known to be wrong with a plan before anybody acts on it."""

from collections.abc import Iterator, Sequence

import jsonschema

from holdfast.plan import conditions
from holdfast.plan.graph import (
    cycle_in,
    dependencies,
    references_after,
    references_before,
    references_within,
)
from holdfast.plan.references import Reference, ReferenceProblem, parse, references_in
from holdfast.shapes import BadSchema, Shape
from schemas.agents import RunLimits
from schemas.base import JsonObject
from schemas.panels import misfits
from schemas.plans import AgentStep, Finding, PanelStep, Plan, Step, ToolStep
from schemas.tools import Catalogue

_ABOUT_THE_WHOLE = {"anyOf", "oneOf", "not", "if", "enum", "const", "contains", "uniqueItems"}
"""Keywords that judge a list or an object by what stands inside it, and so by values that are not there yet."""


def findings_in(
    plan: Plan,
    *,
    catalogue: Catalogue,
    inputs: JsonObject,
    limits: RunLimits,
    done: Sequence[str] = (),
    agents: Sequence[str] = (),
) -> list[Finding]:
    """Every finding, in the order of the plan; graph findings last."""
    found = list(_about_the_whole(plan, limits))
    earlier: set[str] = set(done)
    later = {step.id for step in plan.steps}
    for step in plan.steps:
        found.extend(_about_step(step, catalogue, inputs, earlier, later))
        found.extend(_about_delegation(step, agents))
        found.extend(_about_panel(step))
        earlier.add(step.id)
    if not any(finding.code in ("unreadable", "duplicate_step") for finding in found):
        found.extend(_about_cycles(plan))
    return found


def _about_delegation(step: Step, agents: Sequence[str]) -> Iterator[Finding]:
    if isinstance(step, AgentStep) and step.agent not in agents:
        known = ", ".join(sorted(agents)) or "nobody"
        yield Finding(
            step=step.id,
            code="unknown_agent",
            message=f"This agent may not hand a step to {step.agent}; it may hand one to {known}.",
        )


def _about_panel(step: Step) -> Iterator[Finding]:
    """Which models there are is known where they are called; a voice without one is dead, and the others go on."""
    if isinstance(step, PanelStep):
        for problem in misfits(step):
            yield Finding(step=step.id, code="bad_panel", message=f"The panel cannot sit: {problem}.")


def _about_the_whole(plan: Plan, limits: RunLimits) -> Iterator[Finding]:
    if not plan.steps:
        yield Finding(code="empty_plan", message="The plan has no steps.")
    if len(plan.steps) > limits.steps:
        yield Finding(
            code="too_many_steps",
            message=f"The plan has {len(plan.steps)} steps; this run may take {limits.steps}.",
        )
    seen: set[str] = set()
    for step in plan.steps:
        if step.id in seen:
            yield Finding(step=step.id, code="duplicate_step", message=f"Two steps are called {step.id}.")
        seen.add(step.id)


def _about_step(
    step: Step, catalogue: Catalogue, inputs: JsonObject, earlier: set[str], later: set[str]
) -> Iterator[Finding]:
    try:
        before, within, after = references_before(step), references_within(step), references_after(step)
        waits_for = dependencies(step)
        undoing = _undoing(step)
    except (ReferenceProblem, conditions.ConditionProblem) as problem:
        yield Finding(step=step.id, code="unreadable", message=str(problem))
        return
    for name in sorted(waits_for - earlier):
        if name in later:
            yield Finding(
                step=step.id,
                code="forward_reference",
                message=f"It needs step {name}, which comes after it: move it up.",
            )
        else:
            yield Finding(
                step=step.id, code="dangling_reference", message=f"It needs step {name}; there is none."
            )
    for reference in (*before, *within, *after, *undoing):
        yield from _about_input(step, reference, inputs)
    yield from _about_items(step, before, [*within, *after])
    if any(reference.root == "output" for reference in (*before, *within, *undoing)):
        yield Finding(
            step=step.id,
            code="unreadable",
            message="${output} is there only in `expect`. Another step's is ${steps.NAME.output}.",
        )
    if isinstance(step, ToolStep):
        yield from _about_call(step, step.tool, step.arguments, catalogue)
        if step.compensation:
            yield from _about_call(step, step.compensation.tool, step.compensation.arguments, catalogue)


def _undoing(step: Step) -> list[Reference]:
    """Nothing waits for these: they are read when the step is undone."""
    if not isinstance(step, ToolStep) or not step.compensation:
        return []
    return list(references_in(step.compensation.arguments))


def _about_input(step: Step, reference: Reference, inputs: JsonObject) -> Iterator[Finding]:
    if reference.root != "inputs" or not reference.path or reference.has_default:
        return
    if reference.path[0] not in inputs:
        yield Finding(
            step=step.id, code="missing_input", message=f"The input {reference.path[0]} was not given."
        )


def _about_items(step: Step, before: list[Reference], within: list[Reference]) -> Iterator[Finding]:
    """`${item}` is bound once per call; where there is none, it would silently read null."""
    no_items = not step.for_each or not isinstance(step, ToolStep)
    if any(reference.root == "item" for reference in (*before, *(within if no_items else ()))):
        yield Finding(
            step=step.id,
            code="unreadable",
            message="${item} is there only in the arguments of a tool step with for_each.",
        )
    if step.for_each and not isinstance(step, ToolStep):
        yield Finding(step=step.id, code="bad_for_each", message="Only a tool step can have for_each.")
    elif step.for_each and [type(part) for part in parse(step.for_each)] != [Reference]:
        yield Finding(
            step=step.id,
            code="bad_for_each",
            message="for_each takes one reference to a list, such as ${steps.find.output.items}.",
        )


def _about_call(step: ToolStep, name: str, arguments: JsonObject, catalogue: Catalogue) -> Iterator[Finding]:
    tool = catalogue.find(name)
    if tool is None:
        known = ", ".join(sorted(tool.name for tool in catalogue.tools)[:40])
        yield Finding(
            step=step.id, code="unknown_tool", message=f"There is no tool {name}. There are: {known}."
        )
        return
    if tool.deprecated:
        yield Finding(step=step.id, code="deprecated_tool", message=tool.warning, fatal=False)
    try:
        errors = Shape(tool.input_schema).errors(arguments)
    except BadSchema as problem:
        yield Finding(
            step=step.id,
            code="broken_tool",
            message=f"The input schema of {tool.name} cannot be used: {problem}"[:500],
        )
        return
    for error in errors:
        if not _decided_later(error):
            where = "/".join(str(part) for part in error.absolute_path) or "arguments"
            yield Finding(
                step=step.id, code="bad_arguments", message=f"{tool.name}: {where}: {error.message}"[:500]
            )


def _decided_later(error: jsonschema.ValidationError) -> bool:
    """A text with a reference has its type and value only when the step runs."""
    if isinstance(error.instance, str) or error.validator in _ABOUT_THE_WHOLE:
        return any(True for _ in references_in(error.instance))
    return False


def _about_cycles(plan: Plan) -> Iterator[Finding]:
    edges = {step.id: sorted(dependencies(step)) for step in plan.steps}
    cycle = cycle_in(edges)
    if cycle:
        yield Finding(step=cycle[0], code="cycle", message=f"These wait for each other: {' → '.join(cycle)}.")
