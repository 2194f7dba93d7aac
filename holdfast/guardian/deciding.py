"""The pure function of the guardian: (what is known of an action, bundle, time) → ruling."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.combining import Outcome, combine
from holdfast.guardian.rules import Bindings, Match
from holdfast.guardian.vocabulary import View
from schemas.verdicts import Reason

DEFAULT = "default"
"""The name that stands in reasons where no rule spoke."""


@dataclass(frozen=True)
class Ruling:
    """`matches` are all the rules that count and spoke; `shadow` those that spoke and do not count in this run."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    matches: tuple[Reason, ...]
    shadow: tuple[Reason, ...]
    errors: tuple[str, ...]
    expires_at: datetime | None


def decide(book: RuleBook, view: View, now: datetime) -> Ruling:
    spoke = _ask(book, view, now)
    counting = [match for match in spoke if match.rule.enforced(view.action.run_id)]
    outcome = combine(counting, book.default_for(view.action.environment))
    return Ruling(
        outcome=outcome,
        reasons=_reasons(outcome, view),
        matches=_said(counting, view),
        shadow=_said([match for match in spoke if match not in counting], view),
        errors=tuple(f"{match.rule.version.key}: {match.failure}" for match in counting if match.failure),
        expires_at=min(_ends(outcome), default=None),
    )


def _ask(book: RuleBook, view: View, now: datetime) -> list[Match]:
    bindings = Bindings(view)
    asked = (rule.ask(view, bindings) for rule in book.candidates(view, now))
    return [match for match in asked if match]


def _said(matches: Sequence[Match], view: View) -> tuple[Reason, ...]:
    return tuple(match.rule.reason(match, view) for match in matches)


def _reasons(outcome: Outcome, view: View) -> tuple[Reason, ...]:
    if outcome.deciding:
        return _said(outcome.deciding, view)
    message = f"no rule allows this in {view.action.environment}"
    return (Reason(policy=DEFAULT, effect=outcome.decision, message=message),)


def _ends(outcome: Outcome) -> list[datetime]:
    """A verdict does not outlive the rules it rests on."""
    ends = (match.rule.version.resolved.expires_at for match in outcome.deciding)
    return [end for end in ends if end]
