"""What lets actions through in advance, and what holds them back at once: envelopes and freezes."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from schemas.base import ApprovalId, Name, Payload, Request, RunId, strictly
from schemas.facts import Effect
from schemas.policies import Pattern
from schemas.verdicts import ApprovalTerms


class ArgumentRange(Payload):
    """The values an argument may take. Exactly one of the fields is set; `any` leaves the value open."""

    equals: Any = None
    one_of: tuple[Any, ...] = ()
    prefix: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    any: bool = False


class Reach(Payload):
    """What the action did that people had before them: one that is let through after it may do no more."""

    effects: tuple[Effect, ...] = ()
    binaries: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    folders: tuple[str, ...] = Field(
        default=(), description="Outside the workspace it may write below these."
    )
    unknowns: tuple[str, ...] = ()


class EnvelopeEntry(Payload):
    """One kind of call that was approved in advance. An argument not named here must not be given."""

    tool: Pattern
    step: str | None = Field(default=None, description="Only in this step; none means in any.")
    environment: Name
    arguments: dict[str, ArgumentRange] = {}
    reach: Reach | None = None


class ScopeEntry(Request):
    """What else to approve with an action, for the rest of its run: the same tool, with arguments in these ranges.

    Whatever does more than the action that was approved asks again, whatever its arguments.
    """

    step: str | None = Field(default=None, description="Only in this step; none means in any.")
    arguments: dict[str, Annotated[ArgumentRange, strictly(ArgumentRange)]] = Field(
        description="Each argument that may be given, and its values.", max_length=64
    )

    @model_validator(mode="after")
    def _each_says_something(self) -> Self:
        if any(len(each.model_fields_set) == 0 for each in self.arguments.values()):
            raise ValueError("an argument needs a range: equals, one_of, prefix, minimum, maximum or any")
        return self


class Envelope(Payload):
    """What humans approved for the rest of a run: a whole plan, or a scope. Anything else asks again."""

    approval_id: ApprovalId
    run_id: RunId
    entries: tuple[EnvelopeEntry, ...] = Field(default=(), max_length=10_000)
    granted_by: tuple[str, ...] = ()
    terms: ApprovalTerms | None = Field(
        default=None, description="What the approval met; none is not checked."
    )
    expires_at: datetime | None = None


class FreezeDraft(Request):
    """What to hold. Fields left out match everything; a freeze of nothing in particular holds the whole tenant."""

    environment: Name | None = None
    tool: Pattern | None = None
    agent: Name | None = None
    label_key: Name | None = None
    label_value: str | None = Field(default=None, max_length=256)
    reason: str = Field(default="", max_length=500)

    @model_validator(mode="after")
    def _whole_label(self) -> Self:
        if (self.label_key is None) != (self.label_value is None):
            raise ValueError("a label to freeze by has a key and a value")
        return self


class Freeze(Payload):
    """A brake that was pulled: matching actions wait, in every run, until it is released."""

    id: str
    tenant: Name
    environment: Name | None = None
    tool: str | None = None
    agent: Name | None = None
    label_key: str | None = None
    label_value: str | None = None
    reason: str = ""
    created_by: str = ""
    created_at: datetime
    thawed_at: datetime | None = None
    thawed_by: str | None = None


class FreezeFilter(Request):
    """Which freezes to release: one by its id, or all that hold exactly this."""

    id: str | None = None
    where: Annotated[FreezeDraft, strictly(FreezeDraft)] | None = None
