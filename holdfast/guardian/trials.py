"""Trying things out: examples as actions, and what every rule makes of one."""

from datetime import datetime

from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.conditions import ConditionFailed
from holdfast.guardian.reading import read_action
from holdfast.guardian.rules import Bindings, Match, Rule
from holdfast.guardian.scope import covers
from holdfast.guardian.vocabulary import View
from schemas.actions import Action
from schemas.policies import Example
from schemas.policy_desk import Explanation, RuleOpinion, Word
from schemas.stages import JudgeRequest, RunScope
from schemas.tools import ToolSpec
from schemas.verdicts import VerdictRecord

_RUN = "run_" + "0" * 26
_ORDER: tuple[Word, ...] = ("matched", "failed", "excepted", "silent", "expired", "out_of_scope")


def request_of(example: Example, *, tenant: str = "default", tool: ToolSpec | None = None) -> JudgeRequest:
    """The request the example stands for, in a run that does not exist."""
    spec = tool or ToolSpec(
        name=example.tool,
        description="An example.",
        payload=example.payload,
        effect=example.effect,
        source=example.source,
    )
    action = Action(
        tenant=tenant,
        run_id=_RUN,
        step_id="example",
        tool=spec.name,
        tool_version=spec.version,
        arguments=example.arguments,
        environment=example.environment,
        agent=example.agent,
        runbook=example.runbook,
        labels=example.labels,
        tainted=example.tainted,
        swayed=example.swayed,
        claimed_risk=example.claimed_risk,
    )
    scope = RunScope(tenant=tenant, run_id=_RUN, agent=example.agent, environment=example.environment)
    return JudgeRequest(scope=scope, action=action, tool=spec)


def view_of(example: Example) -> View:
    view, _ = read_action(request_of(example))
    return view


def explain(book: RuleBook, view: View, record: VerdictRecord, now: datetime) -> Explanation:
    """Every rule of the book, asked without any index, so that silence is explained too."""
    bindings = Bindings(view)
    opinions = [_opinion(rule, view, bindings, now) for rule in book.rules]
    deciding = {(reason.policy, reason.version) for reason in record.verdict.reasons}
    opinions.sort(
        key=lambda each: (
            (each.policy, each.version) not in deciding,
            _ORDER.index(each.word),
            not each.locked,
            -each.priority,
            -each.narrowness,
            each.policy,
        )
    )
    return Explanation(record=record, rules=tuple(opinions))


def _opinion(rule: Rule, view: View, bindings: Bindings, now: datetime) -> RuleOpinion:
    word, match = _word(rule, view, bindings, now)
    document = rule.version.resolved
    return RuleOpinion(
        policy=rule.name,
        version=rule.version.version,
        word=word,
        effect=match.decision if match else rule.effect,
        message=rule.reason(match, view).message if match else "",
        locked=rule.locked,
        priority=document.priority,
        narrowness=document.scope.narrowness,
        counts=rule.enforced(view.action.run_id),
    )


def _word(rule: Rule, view: View, bindings: Bindings, now: datetime) -> tuple[Word, Match | None]:
    if not covers(rule.scope, view.action):
        return "out_of_scope", None
    if rule.expired(now):
        return "expired", None
    match = rule.ask(view, bindings)
    if match:
        return ("failed" if match.failure else "matched"), match
    try:
        return ("excepted" if rule.applies(view, bindings) else "silent"), None
    except ConditionFailed:
        return "silent", None
