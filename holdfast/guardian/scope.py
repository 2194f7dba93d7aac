"""Where a rule holds: one scope against one action."""

from collections.abc import Iterable

from schemas.actions import Action
from schemas.policies import PolicyScope


def covers(scope: PolicyScope, action: Action) -> bool:
    """Whether the scope holds here; the empty scope holds everywhere."""
    return (
        _named(scope.environments, action.environment)
        and _named(scope.tools, action.tool)
        and _named(scope.agents, action.agent)
        and (not scope.runbooks or action.runbook in scope.runbooks)
        and all(action.labels.get(key) == value for key, value in scope.labels.items())
    )


def matches_pattern(pattern: str, name: str) -> bool:
    """A whole name, or, where the pattern ends in `*`, the beginning of one."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _named(patterns: Iterable[str], name: str) -> bool:
    return not patterns or any(matches_pattern(pattern, name) for pattern in patterns)
