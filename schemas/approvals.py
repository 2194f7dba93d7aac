"""Approvals: a human decision on a digest. Single use, expiring, by name, with a quorum."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from schemas.base import ApprovalId, Digest, JsonObject, Name, Payload, RunId
from schemas.verdicts import ApprovalTerms


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class ApprovalSubject(StrEnum):
    """What the digest is a digest of."""

    ACTION = "action"
    PLAN = "plan"
    STEP = "step"
    STEP_FAILED = "step_failed"
    EFFECT_UNKNOWN = "effect_unknown"


class ApprovalSummary(Payload):
    """What a human reads before deciding."""

    what: str
    where: str = ""
    why: str = ""
    detail: str = Field(default="", description="The command, the diff, the arguments.")
    reasons: tuple[str, ...] = ()
    blast_radius: str = ""


class HumanDecision(Payload):
    """One person's decision, as stored by the API. Nothing else counts."""

    approver: str
    decision: Literal["approve", "edit", "reject"]
    digest: Digest
    comment: str = ""
    arguments: JsonObject | None = None
    at: datetime


class Delegation(Payload):
    """Somebody who may decide let a group, or one person, decide as well."""

    to: str
    by: str
    comment: str = ""
    at: datetime


class Approval(Payload):
    id: ApprovalId
    tenant: Name
    run_id: RunId
    step_id: str | None = None
    subject: ApprovalSubject
    digest: Digest
    summary: ApprovalSummary
    terms: ApprovalTerms = ApprovalTerms()
    status: ApprovalStatus = ApprovalStatus.PENDING
    requested_by: str = ""
    created_at: datetime
    expires_at: datetime
    decisions: tuple[HumanDecision, ...] = ()
    delegations: tuple[Delegation, ...] = ()
