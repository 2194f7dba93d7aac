"""What can be known to be wrong with a plan before anybody acts on it."""

from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema

from holdfast.plan import conditions
from holdfast.plan.graph import cycle_in, dependencies
from holdfast.plan.references import Reference, ReferenceProblem, parse, references_in
from schemas.agents import RunLimits
from schemas.base import JsonObject
from schemas.plans import Finding, Plan, Step, ToolStep
from schemas.tools import Catalogue


def findings_in(
    plan: Plan, *, catalogue: Catalogue, inputs: JsonObject, limits: RunLimits, done: Sequence[str] = ()
) -> list[Finding]:
    """Every finding, in the order of the plan; graph findings last."""
    found = list(_about_the_whole(plan, limits))
    earlier: set[str] = set(done)
    later = {step.id for step in plan.steps}
    for step in plan.steps:
        found.extend(_about_step(step, catalogue, inputs, earlier, later))
        earlier.add(step.id)
    if not any(finding.code in ("unreadable", "duplicate_step") for finding in found):
        found.extend(_about_cycles(plan))
    return found


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
        needed = _references(step)
        waits_for = dependencies(step)
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
    for reference in needed:
        yield from _about_reference(step, reference, inputs)
    if isinstance(step, ToolStep):
        yield from _about_call(step, catalogue)


def _references(step: Step) -> list[Reference]:
    plain = step.model_dump(mode="json", exclude={"when", "compensation"})
    return [*references_in(plain), *(conditions.references_of(step.when) if step.when else ())]


def _about_reference(step: Step, reference: Reference, inputs: JsonObject) -> Iterator[Finding]:
    has_default = reference.default is not Reference("inputs", ()).default
    if reference.root == "inputs" and reference.path and reference.path[0] not in inputs and not has_default:
        yield Finding(
            step=step.id, code="missing_input", message=f"The input {reference.path[0]} was not given."
        )
    if reference.root == "item" and not step.for_each:
        yield Finding(
            step=step.id, code="unreadable", message="${item} is there only in a step with for_each."
        )


def _about_call(step: ToolStep, catalogue: Catalogue) -> Iterator[Finding]:
    tool = catalogue.find(step.tool)
    if tool is None:
        known = ", ".join(sorted(tool.name for tool in catalogue.tools)[:40])
        yield Finding(
            step=step.id, code="unknown_tool", message=f"There is no tool {step.tool}. There are: {known}."
        )
        return
    validator = jsonschema.Draft202012Validator(tool.input_schema)
    for error in validator.iter_errors(step.arguments):
        if not _decided_later(error.instance):
            where = "/".join(str(part) for part in error.absolute_path) or "arguments"
            yield Finding(
                step=step.id, code="bad_arguments", message=f"{tool.name}: {where}: {error.message}"[:500]
            )


def _decided_later(instance: Any) -> bool:
    """A text with a reference has its type and value only when the step runs."""
    return isinstance(instance, str) and any(isinstance(part, Reference) for part in parse(instance))


def _about_cycles(plan: Plan) -> Iterator[Finding]:
    edges = {step.id: sorted(dependencies(step)) for step in plan.steps}
    cycle = cycle_in(edges)
    if cycle:
        yield Finding(step=cycle[0], code="cycle", message=f"These wait for each other: {' → '.join(cycle)}.")
