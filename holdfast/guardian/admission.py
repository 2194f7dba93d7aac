"""The gate every policy passes before it can ever be asked: resolved, compiled, bounded, and true to its examples."""

from collections.abc import Iterator

from holdfast.errors import Unprocessable
from holdfast.guardian.bundles import compiled
from holdfast.guardian.conditions import ConditionProblem
from holdfast.guardian.documents import resolve
from holdfast.guardian.rules import Bindings, Match, Rule
from holdfast.guardian.scope import covers
from holdfast.guardian.shipped import shipped_templates
from holdfast.guardian.trials import view_of
from holdfast.guardian.vocabulary import View
from schemas.canonical import canonical_json
from schemas.facts import CommandFact, Effect, Facts
from schemas.policies import Example, PolicyDocument, PolicyVersion

RESERVED = "holdfast."
"""Names that begin so belong to the shipped bundle. A tenant loosens its defaults by rules of its own."""

_LARGEST = 64_000


def admit(
    document: PolicyDocument,
    *,
    version: int,
    parent: PolicyVersion | None = None,
    author: str = "",
    change_note: str = "",
) -> PolicyVersion:
    """The version this document becomes. Raises Unprocessable with everything its author needs to mend it."""
    rule = drafted(document, version=version, parent=parent)
    problems = list(_problems(rule))
    if problems:
        raise _refused(document, "; ".join(problems[:5]))
    return rule.version.model_copy(update={"author": author, "change_note": change_note})


def drafted(document: PolicyDocument, *, version: int, parent: PolicyVersion | None = None) -> Rule:
    """The rule a document makes, its examples not yet run: what a trial needs. Raises Unprocessable."""
    try:
        _refuse_oversized(document)
        resolved = resolve(document, templates=shipped_templates(), parent=parent)
        return compiled(
            PolicyVersion(name=document.name, version=version, document=document, resolved=resolved)
        )
    except (ConditionProblem, RecursionError) as problem:
        raise _refused(document, str(problem)) from problem


def _refused(document: PolicyDocument, why: str) -> Unprocessable:
    return Unprocessable(
        f"The policy {document.name} is not accepted: {why}.",
        remedy="Mend the document and send it again; nothing was stored.",
        policy=document.name,
    )


def _refuse_oversized(document: PolicyDocument) -> None:
    text = canonical_json(document.written()).decode("utf-8", errors="replace")
    size = len(text)
    if "\\u0000" in text or "\ufffd" in text:
        raise ConditionProblem("it holds characters that no text has")
    if size > _LARGEST:
        raise ConditionProblem(f"it has {size} characters; {_LARGEST} are allowed")
    if document.name.startswith(RESERVED):
        raise ConditionProblem(f"names that begin with {RESERVED} belong to the shipped policies")


def _problems(rule: Rule) -> Iterator[str]:
    examples = rule.version.document.examples
    conditional = rule.when is not None or rule.unless is not None or rule.scope.narrowness > 0
    if not examples.match:
        yield "it has no example that it must match (examples.match)"
    if conditional and not examples.not_match:
        yield "it has no example that it must leave alone (examples.not_match)"
    for number, example in enumerate(examples.match):
        yield from _against(rule, example, f"examples.match[{number}]", wanted=True)
    for number, example in enumerate(examples.not_match):
        yield from _against(rule, example, f"examples.not_match[{number}]", wanted=False)
    if examples.match:
        yield from _under_load(rule, view_of(examples.match[0]))


def _against(rule: Rule, example: Example, where: str, *, wanted: bool) -> Iterator[str]:
    match = asked(rule, view_of(example))
    if match and match.failure:
        yield f"{where} cannot be evaluated: {match.failure}"
    elif bool(match) is not wanted:
        yield f"{where} {'is not matched' if wanted else 'is matched'}: {_short(example)}"


def asked(rule: Rule, view: View) -> Match | None:
    return rule.ask(view, Bindings(view)) if covers(rule.scope, view.action) else None


def _under_load(rule: Rule, like: View) -> Iterator[str]:
    """The largest facts there can be: loops within loops run out of the engine's budget here, not in a run."""
    match = rule.ask(
        View(like.action, like.tool, LARGEST_FACTS), Bindings(View(like.action, like.tool, LARGEST_FACTS))
    )
    if match and match.failure:
        yield f"it cannot be evaluated on an action with many commands and paths: {match.failure}"


def _short(example: Example) -> str:
    text = str(example.arguments.get("command") or example.arguments or example.tool)
    return f"{text[:80]} ({example.tool} in {example.environment})"


_MANY = tuple(f"/workspace/{number}/{'x' * 180}" for number in range(64))
_COMMANDS = tuple(
    CommandFact(binary="x" * 60, subcommand="y", flags=("-z",) * 8, args=_MANY[:8]) for _ in range(64)
)
LARGEST_FACTS = Facts(
    kind="shell",
    safety="dangerous",
    reasons=_MANY,
    unknowns=_MANY,
    effects=tuple(Effect),
    binaries=_MANY,
    commands=_COMMANDS,
    paths_read=_MANY,
    paths_written=_MANY,
    outside_workspace=_MANY,
    sensitive_paths=_MANY,
    hosts=_MANY,
    methods=_MANY,
    env_set=_MANY,
    interpreters=_MANY,
    hints=_MANY,
)
