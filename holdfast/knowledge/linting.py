"""What would keep a runbook from running, or surprise whoever runs it, found without running anything."""

import re
from collections.abc import Iterator

from holdfast.knowledge.runbooks import Reader
from holdfast.plan import conditions
from holdfast.plan.references import ReferenceProblem, references_in
from schemas.knowledge import LintFinding, Media, RunbookStep, RunnableRunbook, Severity

_INPUT = re.compile(r"\$\{\s*inputs\.([A-Za-z0-9_]+)")
_STEP_IN_CODE = re.compile(r"\$\{\s*(steps|item)\b")
_DESTRUCTIVE = re.compile(
    r"\b(rm|mkfs|dd|kill|pkill|killall|shutdown|reboot|truncate|shred|drop|delete)\b", re.IGNORECASE
)


def lint_runbook(document_id: str, text: str, *, media: Media = "markdown") -> list[LintFinding]:
    """Findings in the order of the text. None of severity `error` means that it parses and hangs together."""
    reader = Reader(document_id, text, media=media)
    runbook = reader.read()
    findings = [*reader.findings, *_about(runbook)]
    return sorted(findings, key=lambda finding: finding.line or 0)


def _about(runbook: RunnableRunbook) -> Iterator[LintFinding]:
    if not runbook.annotated:
        yield _finding(
            None, "not_annotated", "No block has an id: it is found, and runs only by name.", warn=True
        )
        return
    if not runbook.steps:
        yield _finding(None, "no_steps", "There is no step to run.")
    if not runbook.summary:
        yield _finding(
            None, "no_summary", "A `summary` in the front matter helps people and search.", warn=True
        )
    known = {each.name for each in runbook.inputs}
    earlier: set[str] = set()
    for step in runbook.steps:
        if step.id in earlier:
            yield _finding(step, "duplicate_step", f"Two steps are called {step.id}.")
        yield from _about_needs(step, earlier)
        yield from _about_inputs(step, known)
        yield from _about_block(step)
        earlier.add(step.id)
    yield from _about_answer(runbook, known, earlier)


def _about_needs(step: RunbookStep, earlier: set[str]) -> Iterator[LintFinding]:
    for name in step.needs or ():
        if name not in earlier:
            yield _finding(
                step, "unknown_need", f"Step {step.id} needs {name}, which does not stand before it."
            )
    texts = [step.arguments, step.for_each or "", step.body if step.block in ("http", "approval") else ""]
    try:
        references = [*references_in(texts), *(conditions.references_of(step.when) if step.when else ())]
    except (ReferenceProblem, conditions.ConditionProblem) as problem:
        yield _finding(step, "unreadable", str(problem))
        return
    for reference in references:
        if reference.step and reference.step not in earlier:
            yield _finding(
                step,
                "dangling_reference",
                f"Step {step.id} reads step {reference.step}, which is not before it.",
            )


def _about_inputs(step: RunbookStep, known: set[str]) -> Iterator[LintFinding]:
    texts = " ".join((step.body, step.when or "", step.for_each or "", repr(step.arguments)))
    for name in sorted(set(_INPUT.findall(texts)) - known):
        yield _finding(
            step, "unknown_input", f"Step {step.id} reads the input {name}; the front matter has none."
        )


def _about_block(step: RunbookStep) -> Iterator[LintFinding]:
    if step.block == "tool" and not step.tool:
        yield _finding(step, "no_tool", f"Step {step.id} names no tool: ```tool NAME id={step.id}.")
    if step.block in ("shell", "python", "sql") and _STEP_IN_CODE.search(step.body):
        yield _finding(
            step, "reference_in_code",
            f"Step {step.id} writes another step's output into code; hand it over as an argument: args.stdin=….",
        )  # fmt: skip
    if step.block == "wait" and not step.arguments:
        yield _finding(
            step, "endless_wait", f"Step {step.id} waits for nothing: say seconds=, until= or event=."
        )
    if step.block in ("shell", "sql") and step.risk == "none" and _DESTRUCTIVE.search(step.body):
        yield _finding(
            step, "risk_unsaid", f"Step {step.id} looks as if it changes something: say risk=.", warn=True
        )


def _about_answer(runbook: RunnableRunbook, known: set[str], steps: set[str]) -> Iterator[LintFinding]:
    if not runbook.answer:
        return
    try:
        references = list(references_in(runbook.answer))
    except ReferenceProblem as problem:
        yield _finding(None, "unreadable", f"In the answer: {problem}")
        return
    for reference in references:
        if reference.step and reference.step not in steps:
            yield _finding(
                None, "dangling_reference", f"The answer reads step {reference.step}; there is none."
            )
        if reference.root == "inputs" and reference.path and reference.path[0] not in known:
            yield _finding(
                None, "unknown_input", f"The answer reads the input {reference.path[0]}; there is none."
            )


def _finding(step: RunbookStep | None, code: str, message: str, *, warn: bool = False) -> LintFinding:
    severity = Severity.WARNING if warn else Severity.ERROR
    return LintFinding(code=code, message=message, severity=severity, line=step.line if step else None)
