"""What the rules alone answer when no policy speaks: allow only what is understood and only looks."""

from schemas.facts import Effect, Facts
from schemas.verdicts import Decision


def default_decision(facts: Facts) -> Decision:
    """Understood, read-only, untainted → allow. Irreversible or evasive → deny. Everything else asks."""
    if _is_hopeless(facts):
        return Decision.DENY
    if (
        facts.safety == "read_only"
        and not facts.unknowns
        and not facts.sensitive_paths
        and not facts.privileged
    ):
        return Decision.ALLOW
    return Decision.REQUIRE_APPROVAL


def _is_hopeless(facts: Facts) -> bool:
    effects = set(facts.effects)
    steals = Effect.SECRET in effects and Effect.EGRESS in effects
    feeds_download = facts.pipes_to_shell and Effect.NETWORK in effects
    return bool({Effect.DESTROY, Effect.ATTACK} & effects) or steals or feeds_download
