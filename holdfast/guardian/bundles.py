"""A bundle made ready: rules compiled, and laid out so that only those that could match are asked."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import product
from math import prod

from holdfast.guardian.guards import Kind, guard_of, values_of
from holdfast.guardian.rules import Rule
from holdfast.guardian.scope import covers
from holdfast.guardian.source import ConditionProblem
from holdfast.guardian.vocabulary import View
from schemas.policies import Bundle, PolicyScope, PolicyVersion, Stop

_ANY = ""
_MOST_KEYS = 64
Key = tuple[str, str, str]


class Place:
    """The rules of one environment, tool and agent, by what must be there for them to match."""

    def __init__(self) -> None:
        self._always: list[Rule] = []
        self._guarded: dict[tuple[Kind, str], dict[str, list[Rule]]] = {}

    def add(self, rule: Rule) -> None:
        guard = guard_of(rule)
        if guard is None:
            self._always.append(rule)
        else:
            self._guarded.setdefault(guard.place, {}).setdefault(guard.value, []).append(rule)

    def for_view(self, view: View) -> Iterator[Rule]:
        yield from self._always
        for place, by_value in self._guarded.items():
            for value in values_of(place, view):
                yield from by_value.get(value, ())


class RuleBook:
    """A compiled bundle. Compiling costs milliseconds; keep one per digest. Raises ConditionProblem."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.digest = bundle.digest
        self.rules = tuple(compiled(version) for version in bundle.policies)
        self._places: dict[Key, Place] = {}
        self._conditional: set[Rule] = set()
        for rule in self.rules:
            keys, whole = keys_of(rule.scope)
            if not whole or rule.expires_at:
                self._conditional.add(rule)
            for key in keys:
                self._places.setdefault(key, Place()).add(rule)

    def candidates(self, view: View, now: datetime) -> Iterator[Rule]:
        """The rules in force that could match, each once: any other would be silent."""
        action = view.action
        for key in product((action.environment, _ANY), (action.tool, _ANY), (action.agent, _ANY)):
            place = self._places.get(key)
            for rule in place.for_view(view) if place else ():
                if rule not in self._conditional or (covers(rule.scope, action) and not rule.expired(now)):
                    yield rule

    def default_for(self, environment: str) -> Stop:
        return self.bundle.defaults.get(environment, self.bundle.otherwise)


def compiled(version: PolicyVersion) -> Rule:
    try:
        return Rule(version)
    except ConditionProblem as error:
        raise ConditionProblem(f"policy {version.key}: {error}") from error


def keys_of(scope: PolicyScope) -> tuple[Sequence[Key], bool]:
    """Where a rule stands: where its exact names say, or, with a pattern, where everything does.

    The second value says whether these keys are the whole scope, so that nothing of it is left to check.
    """
    named = [scope.environments, scope.tools, scope.agents]
    places = [_exact(names) for names in named]
    whole = not scope.runbooks and not scope.labels and all(map(_is_exact, named))
    while prod(len(names) for names in places) > _MOST_KEYS:
        widest = max(range(3), key=lambda index: len(places[index]))
        places[widest], whole = (_ANY,), False
    return tuple((environment, tool, agent) for environment, tool, agent in product(*places)), whole


def _exact(patterns: Sequence[str]) -> Sequence[str]:
    return tuple(dict.fromkeys(patterns)) if patterns and _is_exact(patterns) else (_ANY,)


def _is_exact(patterns: Sequence[str]) -> bool:
    return not any(pattern.endswith("*") for pattern in patterns)
