"""What people are asked, and their word on it."""

from pydantic import Field

from schemas.actions import Action
from schemas.approvals import ApprovalSubject, ApprovalSummary
from schemas.base import ApprovalId, Digest, Payload
from schemas.brakes import EnvelopeEntry
from schemas.stages.scope import RunScope
from schemas.verdicts import ApprovalTerms


class ResolveRequest(Payload):
    """A human's word on an effect whose outcome is not known."""

    scope: RunScope
    step_id: str
    digest: Digest
    happened: bool
    by: str
    comment: str = ""


class AskRequest(Payload):
    """Ask humans for a decision on a digest."""

    scope: RunScope
    id: ApprovalId
    step_id: str | None = None
    subject: ApprovalSubject
    digest: Digest
    summary: ApprovalSummary
    terms: ApprovalTerms = ApprovalTerms()
    requested_by: str = ""
    action: Action | None = None
    entries: tuple[EnvelopeEntry, ...] = Field(
        default=(), description="What saying yes permits for the rest of the run, beside the digest itself."
    )


class ReadApprovalRequest(Payload):
    scope: RunScope
    id: ApprovalId


class DoubtRequest(Payload):
    """Somebody told the run that this is decided. Look whether it is."""

    scope: RunScope
    key: str = Field(description="Of the event that tells of it, where it is not.")
    claimed: str = Field(max_length=100, description="The id as it was sent, which may be none.")
