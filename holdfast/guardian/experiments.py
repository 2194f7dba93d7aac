"""Experiments: the runs a rule in rollout `ab` decided, beside those in which it only watched."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from holdfast.guardian.rules import arm
from schemas.policies import PolicyVersion
from schemas.policy_desk import Arm, ExperimentReport


@dataclass(frozen=True)
class RunTally:
    """What became of the actions of one run in which the rule matched something."""

    run_id: str
    actions: int
    allowed: int
    denied: int
    asked: int
    matched: int
    answered: int
    approved: int
    retried_after_denial: int


def report(policy: PolicyVersion, tallies: Iterable[RunTally]) -> ExperimentReport:
    rollout = policy.resolved.rollout
    runs = list(tallies)
    percent = {"enforce": 100, "shadow": 0, "ab": rollout.percent}[rollout.mode]
    salt = rollout.salt or policy.name
    enforced = {tally.run_id for tally in runs if arm(salt, tally.run_id) < percent}
    return ExperimentReport(
        policy=policy.name,
        version=policy.version,
        percent=percent,
        mode=rollout.mode,
        enforced=_arm([tally for tally in runs if tally.run_id in enforced], enforced=True),
        watched=_arm([tally for tally in runs if tally.run_id not in enforced], enforced=False),
    )


def _arm(tallies: list[RunTally], *, enforced: bool) -> Arm:
    rows = [asdict(tally) for tally in tallies]
    names = [name for name in Arm.model_fields if name not in ("enforced", "runs")]
    return Arm(enforced=enforced, runs=len(rows), **{name: sum(row[name] for row in rows) for name in names})
