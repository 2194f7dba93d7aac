"""The guardian's answer on an action, and the terms on which a human may change it."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from schemas.base import Digest, Name, Payload
from schemas.facts import Facts


class Decision(StrEnum):
    """The whole vocabulary. There is no fourth answer, and no answer means `deny`."""

    ALLOW = "allow"
    REQUIRE_APPROVAL = "require_approval"
    DENY = "deny"


class ApprovalTerms(Payload):
    """Who must agree, and for how long the question stands. Expiry denies."""

    group: Name = "operators"
    quorum: int = Field(default=1, ge=1, le=10)
    expires_s: float = Field(default=86_400, gt=0, le=86_400 * 90)
    four_eyes: bool = Field(default=False, description="The requester of the run may not approve.")
    escalate_to: Name | None = None
    escalate_after_s: float | None = Field(default=None, gt=0)


class Reason(Payload):
    """One rule that spoke, or the default that did."""

    policy: str
    version: int | None = None
    effect: Decision
    message: str


Settler = Literal["model", "panel"]
"""Who may answer in the place of people, where the rules leave an action unclear and permit it."""


class Opinion(Payload):
    """What a model, or a panel of them, thinks of one action. It may say yes, or leave it to people; nothing else."""

    decision: Literal["allow", "require_approval"]
    why: str = ""
    by: str = ""
    usable: bool = Field(
        default=True, description="False: too slow, malformed, refused or away, which leaves it to people."
    )
    cost_usd: float = 0


class Verdict(Payload):
    """What the run needs of the guardian's answer; what it was based on stays in Postgres."""

    action_digest: Digest
    decision: Decision
    reasons: tuple[Reason, ...] = ()
    bundle: Digest
    terms: ApprovalTerms | None = None
    expires_at: datetime | None = None
    held: bool = Field(
        default=False, description="A freeze holds this action: wait for the thaw, then judge again."
    )
    may_settle: Settler | None = Field(
        default=None,
        description="Ask it, then judge again. Until then the verdict is provisional: it has expired as it is given.",
    )

    @property
    def goes_out(self) -> bool:
        return self.decision is Decision.ALLOW and not self.held

    @property
    def why(self) -> str:
        return "; ".join(reason.message for reason in self.reasons) or self.decision.value


class VerdictRecord(Payload):
    """The whole verdict, as recorded: what was known, what matched, what it cost."""

    verdict: Verdict
    facts: Facts
    matches: tuple[Reason, ...] = ()
    errors: tuple[str, ...] = ()
    shadow: tuple[Reason, ...] = ()
    judge: str | None = None
    in_advance: bool = Field(
        default=False,
        description="What it asks people, they may have answered before, with a plan or a scope.",
    )
    latency_us: int = 0
