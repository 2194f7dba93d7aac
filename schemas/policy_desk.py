"""What people ask of the policy desk, and what it answers."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.base import Digest, Name, Payload, Request, RunId, strictly
from schemas.policies import Example, PolicyDocument, PolicyRef
from schemas.verdicts import Decision, VerdictRecord


class PolicyDraft(Request):
    """What a user sends to create a policy, or a new version of one."""

    document: Annotated[PolicyDocument, strictly(PolicyDocument)]
    change_note: str = Field(default="", max_length=1000)


Word = Literal["matched", "silent", "excepted", "out_of_scope", "expired", "failed"]
"""What one rule made of one action. `excepted`: its `when` held, and so did its `unless`."""


class RuleOpinion(Payload):
    """One rule that looked at an action, and what it made of it."""

    policy: Name
    version: int
    word: Word
    effect: Decision
    message: str = ""
    locked: bool = False
    priority: int = 0
    narrowness: int = 0
    counts: bool = Field(default=True, description="False where its rollout only records in this run.")


class Explanation(Payload):
    """A trial verdict, and every rule that looked at the action: those that decided first."""

    record: VerdictRecord
    rules: tuple[RuleOpinion, ...] = ()


class Difference(Payload):
    """One recorded action that would be decided otherwise."""

    run_id: RunId
    digest: Digest
    tool: str
    environment: Name
    gist: str
    before: Decision
    after: Decision
    why: str


class BacktestReport(Payload):
    """Every recorded action, decided by the active bundle and by another: what activating it would change."""

    active: Digest
    draft: Digest
    decided: int = 0
    unreadable: int = Field(default=0, description="Records of an older form, left out.")
    changed: int = 0
    looser: int = 0
    stricter: int = 0
    matrix: dict[Decision, dict[Decision, int]] = Field(default={}, description="Before → after → how many.")
    samples: tuple[Difference, ...] = ()
    never_matched: tuple[str, ...] = Field(
        default=(), description="New rules that matched nothing on record."
    )
    always_matched: tuple[str, ...] = Field(
        default=(), description="New rules that matched everything on record."
    )
    decisions_per_s: float = 0


class Arm(Payload):
    """How one half of an experiment went."""

    enforced: bool
    runs: int = 0
    actions: int = 0
    allowed: int = 0
    denied: int = 0
    asked: int = 0
    matched: int = 0
    answered: int = Field(default=0, description="Of those asked about: how many people have decided.")
    approved: int = 0
    retried_after_denial: int = Field(
        default=0, description="Denied calls whose tool was tried again in the run."
    )

    @property
    def approval_rate(self) -> float:
        """The share of actions that people were asked about."""
        return self.asked / self.actions if self.actions else 0.0

    @property
    def approved_share(self) -> float:
        """The share of answers that were yes: near one, the rule asks for nothing."""
        return self.approved / self.answered if self.answered else 0.0


class ExperimentReport(Payload):
    """A rule in rollout `ab`: the runs it decides beside those in which it only watches."""

    policy: Name
    version: int
    percent: int
    mode: Literal["enforce", "shadow", "ab"] = "ab"
    enforced: Arm
    watched: Arm


class PolicyState(Payload):
    """A policy as listed: its newest version, and what is in force of it."""

    name: Name
    newest: int
    active: int | None = None
    retired: bool = False
    shipped: bool = False
    effect: Decision
    locked: bool = False
    priority: int = 0
    description: str = ""


class Activation(Payload):
    """One move of the pointer."""

    number: int
    digest: Digest
    previous: Digest | None = None
    by: str
    note: str = ""
    at: datetime


class ActivationRequest(Request):
    """What to put in force. Nothing named: the newest version of every policy that is not retired."""

    policies: tuple[Annotated[PolicyRef, strictly(PolicyRef)], ...] = ()
    remove: tuple[Name, ...] = ()
    note: str = Field(default="", max_length=1000)


class TrialRequest(Request):
    """Try an action against the active rules, a draft beside them, or both."""

    action: Annotated[Example, strictly(Example)]
    draft: Annotated[PolicyDocument, strictly(PolicyDocument)] | None = None


class FieldChange(Payload):
    """One difference of two versions. None stands for a field that was not written."""

    field: str
    before: Any = None
    after: Any = None


class PolicyDiff(Payload):
    name: Name
    before: int
    after: int
    changes: tuple[FieldChange, ...] = ()


class BundleDiff(Payload):
    """What two bundles say differently. Nothing in any of the lists: the same rules, under one digest."""

    before: Digest
    after: Digest
    added: tuple[PolicyRef, ...] = ()
    removed: tuple[PolicyRef, ...] = ()
    changed: tuple[PolicyDiff, ...] = ()
    settings: tuple[FieldChange, ...] = Field(
        default=(), description="The defaults, the format and the version of the command knowledge."
    )


class RollbackRequest(Request):
    """Put an earlier bundle in force again: the one before, or that of an activation by its number."""

    to: int | None = Field(default=None, ge=1)
    note: str = Field(default="", max_length=1000)


class BacktestRequest(ActivationRequest):
    """What to put in force for the trial, as in an activation, and over which records."""

    drafts: tuple[Annotated[PolicyDocument, strictly(PolicyDocument)], ...] = Field(
        default=(), max_length=200, description="Documents that are not stored, tried beside the others."
    )
    days: float = Field(default=30, gt=0, le=3650)
    limit: int = Field(default=100_000, ge=1, le=1_000_000)
