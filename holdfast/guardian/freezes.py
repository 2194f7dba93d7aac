"""The fleet brake, asked of one action. The ledger asks again, by the same rule, when the action goes out."""

from collections.abc import Iterable

from holdfast.guardian.scope import matches_pattern
from schemas.actions import Action
from schemas.brakes import Freeze, FreezeDraft


def held_by(freezes: Iterable[Freeze], action: Action) -> Freeze | None:
    return next(
        (freeze for freeze in freezes if freeze.thawed_at is None and freezes_action(freeze, action)), None
    )


def freezes_action(freeze: Freeze | FreezeDraft, action: Action) -> bool:
    return (
        freeze.environment in (None, action.environment)
        and (freeze.tool is None or matches_pattern(freeze.tool, action.tool))
        and freeze.agent in (None, action.agent)
        and (freeze.label_key is None or action.labels.get(freeze.label_key) == freeze.label_value)
    )
