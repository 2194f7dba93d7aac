"""A rule: one policy version with its conditions compiled, ready to be asked about an action."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from holdfast.guardian.conditions import (
    Condition,
    ConditionFailed,
    ConditionProblem,
    bind,
    check_regex,
    condition,
)
from holdfast.guardian.messages import check_message, fill
from holdfast.guardian.parameters import check_pattern, filled, types_of
from holdfast.guardian.source import regexes
from holdfast.guardian.vocabulary import HEAVY, View
from schemas.policies import PolicyVersion
from schemas.verdicts import Decision, Reason


class Bindings:
    """The variables of one action as the engine holds them: converted once, and only as far as somebody asks."""

    def __init__(self, view: View) -> None:
        self._view = view

    @cached_property
    def light(self) -> Any:
        return bind(self._view.light)

    @cached_property
    def full(self) -> Any:
        return bind(self._view.full)


@dataclass(frozen=True)
class Match:
    """A rule that spoke. `failure`: its condition could not be evaluated, and its `on_error` speaks instead."""

    rule: "Rule"
    decision: Decision
    failure: str = ""

    @property
    def binding(self) -> bool:
        """Nothing that matches beside it may be looser."""
        return self.rule.locked or bool(self.failure)


class Rule:
    """Raises ConditionProblem for a version that must not be accepted."""

    def __init__(self, version: PolicyVersion) -> None:
        document = version.resolved
        if document.effect is None:
            raise ConditionProblem("it has no effect: allow, require_approval or deny")
        self.version = version
        self.effect = document.effect
        self.locked = document.locked
        self.scope = document.scope
        self.expires_at = document.expires_at
        self.rank = (document.priority, document.scope.narrowness)
        self._types = types_of(document.parameters)
        self._params = {f"params.{name}": value for name, value in filled(document).items()}
        self.when = self._condition("when", document.when)
        self.unless = self._condition("unless", document.unless)
        self._reads = frozenset[str]().union(*(each.reads for each in (self.when, self.unless) if each))
        self._heavy = bool(self._reads & HEAVY)
        self._check_patterns()
        check_message(document.message)

    def _condition(self, field: str, text: str) -> Condition | None:
        try:
            return condition(text, self._types) if text.strip() else None
        except ConditionProblem as problem:
            raise ConditionProblem(f"{field}: {problem}") from problem

    @property
    def name(self) -> str:
        return self.version.name

    def ask(self, view: View, bindings: Bindings) -> Match | None:
        """What the rule says of this action, whose scope it covers; None where it is silent."""
        try:
            if self.applies(view, bindings) and not self._excepted(view, bindings):
                return Match(self, self.effect)
        except ConditionFailed as error:
            return Match(self, Decision(self.version.resolved.on_error), failure=str(error))
        return None

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def enforced(self, run_id: str) -> bool:
        """Whether its word counts in this run, or is only recorded."""
        rollout = self.version.resolved.rollout
        if rollout.mode == "ab":
            return arm(rollout.salt or self.name, run_id) < rollout.percent
        return rollout.mode == "enforce"

    def reason(self, match: Match, view: View) -> Reason:
        return Reason(
            policy=self.name,
            version=self.version.version,
            effect=match.decision,
            message=self._message(match, view),
        )

    def _message(self, match: Match, view: View) -> str:
        if match.failure:
            return f"{self.name} could not be evaluated: {match.failure}"
        document = self.version.resolved
        return fill(document.message, view) or document.description or self.name

    def applies(self, view: View, bindings: Bindings) -> bool:
        """Whether its `when` holds, its `unless` aside. Raises ConditionFailed."""
        return self.when is None or self.when.holds(self._activation(view, bindings))

    def _excepted(self, view: View, bindings: Bindings) -> bool:
        return self.unless is not None and self.unless.holds(self._activation(view, bindings))

    def _activation(self, view: View, bindings: Bindings) -> Any:
        if self._params:
            return self._own(view)
        return bindings.full if self._heavy else bindings.light

    def _own(self, view: View) -> Any:
        """Parameters are nobody else's, so such a rule gets a binding of its own, of only what it reads."""
        values = {name: view.value(name) for name in self._reads if not name.startswith("params.")}
        return bind(values | self._params, self._types)

    def _check_patterns(self) -> None:
        for each in (self.when, self.unless):
            for pattern in regexes(each.tokens) if each else ():
                if pattern.startswith("params."):
                    value = self._params.get(pattern)
                    check_pattern(pattern, value)
                    check_regex("''.matches(pattern.text)", {"pattern.text": str(value)})


def arm(salt: str, run_id: str) -> int:
    """Where a run stands among 100: the same for every action of the run, on every machine."""
    drawn = hashlib.sha256(f"{salt}\0{run_id}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") % 100
