"""A bundle made ready: rules compiled, and laid out so that only those that could match are asked."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from holdfast.guardian.rules import Rule
from holdfast.guardian.scope import covers
from holdfast.guardian.source import ConditionProblem
from schemas.actions import Action
from schemas.policies import Bundle, PolicyVersion, Stop

_ANY = ""


class RuleBook:
    """A compiled bundle. Compiling costs milliseconds; keep one per digest. Raises ConditionProblem."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.digest = bundle.digest
        self.rules = tuple(compiled(version) for version in bundle.policies)
        self._by_place: dict[tuple[str, str], list[Rule]] = {}
        for rule in self.rules:
            for place in _places(rule):
                self._by_place.setdefault(place, []).append(rule)

    def covering(self, action: Action, now: datetime) -> Iterable[Rule]:
        """The rules in force whose scope covers the action."""
        for environment in (action.environment, _ANY):
            for tool in (action.tool, _ANY):
                for rule in self._by_place.get((environment, tool), ()):
                    if covers(rule.scope, action) and not rule.expired(now):
                        yield rule

    def default_for(self, environment: str) -> Stop:
        return self.bundle.defaults.get(environment, self.bundle.otherwise)


def compiled(version: PolicyVersion) -> Rule:
    try:
        return Rule(version)
    except ConditionProblem as error:
        raise ConditionProblem(f"policy {version.key}: {error}") from error


def _places(rule: Rule) -> Iterable[tuple[str, str]]:
    """Each rule stands in exactly the places its exact names give; a pattern stands where everything does."""
    for environment in _exact(rule.scope.environments):
        for tool in _exact(rule.scope.tools):
            yield environment, tool


def _exact(patterns: Sequence[str]) -> Sequence[str]:
    if not patterns or any(pattern.endswith("*") for pattern in patterns):
        return (_ANY,)
    return tuple(dict.fromkeys(patterns))
