"""From the rules that spoke to one answer. Pure, and independent of the order in which they are given.

Locked rules first, and rules that could not be evaluated with them: the strictest of these is a floor. Then, among
the others, the highest priority; of equals the narrower scope; of equals the stricter. The answer is the stricter of
the two. Where only errors spoke, or nothing, the environment's default counts as the winner.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from holdfast.guardian.rules import Match
from schemas.policies import Stop
from schemas.verdicts import ApprovalTerms, Decision, Settler

STRICTNESS = {Decision.ALLOW: 0, Decision.REQUIRE_APPROVAL: 1, Decision.DENY: 2}


@dataclass(frozen=True)
class Outcome:
    """`deciding` are the rules the answer rests on, the foremost first; empty where the default decided.

    `failed`: no rule and no default decided, but an error did; nobody may answer that in advance.
    """

    decision: Decision
    deciding: tuple[Match, ...] = ()
    terms: ApprovalTerms | None = None
    settler: Settler | None = None
    failed: bool = False


def combine(matches: Iterable[Match], default: Stop) -> Outcome:
    ordered = sorted(matches, key=_place)
    floors = [match for match in ordered if match.binding]
    winner = next((match for match in ordered if not match.binding), None)
    speaking = [*floors, winner] if winner else floors
    decisions = [match.decision for match in speaking]
    if winner is None and not any(match.rule.locked and not match.failure for match in floors):
        decisions.append(Decision(default))
    decision = strictest(decisions)
    deciding = tuple(match for match in speaking if match.decision is decision)
    terms = merged_terms(deciding) if decision is Decision.REQUIRE_APPROVAL else None
    return Outcome(decision, deciding, terms, settler=_settler(decision, deciding))


def strictest(decisions: Iterable[Decision]) -> Decision:
    """Of no decisions at all: deny."""
    return max(decisions, key=STRICTNESS.__getitem__, default=Decision.DENY)


def merged_terms(deciding: Sequence[Match]) -> ApprovalTerms:
    """The hardest terms of all the rules that ask; group and escalation are the foremost one's."""
    asked = [match.rule.version.resolved.approval or ApprovalTerms() for match in deciding]
    if not asked:
        return ApprovalTerms()
    return asked[0].model_copy(
        update={
            "quorum": max(terms.quorum for terms in asked),
            "expires_s": min(terms.expires_s for terms in asked),
            "four_eyes": any(terms.four_eyes for terms in asked),
        }
    )


def both(one: Settler | None, other: Settler | None) -> Settler | None:
    """Who may settle what two rules ask: nobody unless both permit it, and a panel if one of them wants one."""
    if one is None or other is None:
        return None
    return "panel" if "panel" in (one, other) else "model"


def _settler(decision: Decision, deciding: Sequence[Match]) -> Settler | None:
    if decision is not Decision.REQUIRE_APPROVAL or not deciding:
        return None
    return reduce(both, map(_permitted, deciding))


def _permitted(match: Match) -> Settler | None:
    judge = match.rule.version.resolved.judge
    if match.binding or judge is False:
        return None
    return "panel" if judge == "panel" else "model"


def _place(match: Match) -> tuple[int, int, int, str, int]:
    priority, narrowness = match.rule.rank
    return (-priority, -narrowness, -STRICTNESS[match.decision], match.rule.name, match.rule.version.version)
