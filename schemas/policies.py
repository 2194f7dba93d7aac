"""Policies as data: what a rule says, where it holds, and the bundle of rules a verdict is based on.

A document is what people write. A version is a document that can never change again. A bundle is a set of versions
under one digest; activating it moves a pointer, and every verdict names the digest it was based on.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from schemas.base import ApprovalId, Digest, JsonObject, Labels, Name, Payload, Request, RunId, strictly
from schemas.canonical import digest_of
from schemas.tools import EffectClass
from schemas.verdicts import ApprovalTerms, Decision, VerdictRecord

FORMAT = 1
"""The version of the document's meaning; part of every bundle digest."""

Pattern = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[a-z0-9][a-z0-9._-]*\*?$|^\*$")
]
"""A name, or the beginning of names when it ends in `*`."""

Condition = Annotated[str, StringConstraints(max_length=4000)]
Stop = Literal["require_approval", "deny"]


class PolicyScope(Payload):
    """Where a rule holds. An empty list means everywhere."""

    environments: tuple[Pattern, ...] = Field(default=(), max_length=64)
    tools: tuple[Pattern, ...] = Field(default=(), max_length=256)
    agents: tuple[Pattern, ...] = Field(default=(), max_length=64)
    runbooks: tuple[str, ...] = Field(default=(), max_length=64)
    labels: Labels = {}

    @property
    def narrowness(self) -> int:
        """How many of the dimensions are named: of two equal rules, the narrower one speaks."""
        lists: Sequence[object] = (self.environments, self.tools, self.agents, self.runbooks)
        return sum(1 for each in lists if each) + len(self.labels)


class ParameterType(StrEnum):
    STRING = "string"
    INT = "int"
    NUMBER = "number"
    BOOL = "bool"
    STRINGS = "strings"


class Parameter(Payload):
    """A typed blank of a template, read in conditions as `params.<name>`."""

    type: ParameterType
    default: Any = None
    description: str = Field(default="", max_length=500)


ParameterName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Example(Payload):
    """An action in short, for the examples a rule is published with and for trying things out."""

    tool: str = "shell"
    payload: Literal["none", "shell", "python", "http", "sql", "file"] = "shell"
    effect: EffectClass = EffectClass.IRREVERSIBLE
    source: Literal["builtin", "manifest", "mcp"] = "builtin"
    arguments: JsonObject = {}
    environment: Name = "dev"
    agent: Name = "operator"
    runbook: str | None = None
    labels: Labels = {}
    tainted: tuple[str, ...] = ()
    claimed_risk: Literal["none", "low", "medium", "high"] = "none"


class Examples(Payload):
    """What the rule must match, and what it must leave alone. Both are run before a version is accepted."""

    match: tuple[Example, ...] = Field(default=(), max_length=50)
    not_match: tuple[Example, ...] = Field(default=(), max_length=50)


class Rollout(Payload):
    """How much of the traffic a rule decides. The arm of a run is drawn once from its id, and stays.

    `shadow` only records what it would have said. `ab` enforces it for `percent` of the runs and records it for all.
    """

    mode: Literal["enforce", "shadow", "ab"] = "enforce"
    percent: int = Field(default=100, ge=0, le=100)
    salt: str = Field(default="", max_length=64)


class PolicyRef(Payload):
    name: Name
    version: int = Field(ge=1)


class PolicyDocument(Payload):
    """One rule, as people write it."""

    name: Name
    description: str = Field(default="", max_length=2000)
    effect: Decision | None = Field(
        default=None, description="Required unless a template or a parent says it."
    )
    scope: PolicyScope = PolicyScope()
    priority: int = Field(default=0, ge=-1000, le=1000)
    locked: bool = Field(default=False, description="Whatever else matches can only be stricter.")
    when: Condition = Field(default="", description="CEL; empty means always.")
    unless: Condition = Field(default="", description="CEL; the rule is silent where this holds.")
    message: str = Field(default="", max_length=500, description="Shown to the agent and to people.")
    on_error: Stop = Field(
        default="require_approval", description="What a condition that cannot be evaluated means."
    )
    approval: ApprovalTerms | None = None
    judge: bool = Field(
        default=False, description="A model may settle what this rule would ask people about."
    )
    parameters: dict[ParameterName, Parameter] = Field(default={}, max_length=32)
    params: dict[ParameterName, Any] = Field(default={}, max_length=32)
    template: Name | None = None
    extends: PolicyRef | None = None
    examples: Examples = Examples()
    rollout: Rollout = Rollout()
    expires_at: datetime | None = None

    @field_validator("expires_at")
    @classmethod
    def _with_an_offset(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a time needs an offset, such as 2030-01-31T12:00:00Z")
        return value

    @model_validator(mode="after")
    def _one_base(self) -> Self:
        if self.template and self.extends:
            raise ValueError("a policy starts from a template or from another policy, not from both")
        return self

    def written(self) -> JsonObject:
        """Only what its author wrote, so that a later default never changes an old version."""
        return self.model_dump(mode="json", exclude_unset=True)


class PolicyTemplate(Payload):
    """A rule with blanks. What it is for stands in its document's description."""

    name: Name
    parameters: dict[ParameterName, Parameter] = {}
    document: PolicyDocument


class PolicyVersion(Payload):
    """A document that will never change again. `resolved` has templates and parents filled in."""

    name: Name
    version: int = Field(ge=1)
    document: PolicyDocument
    resolved: PolicyDocument
    shipped: bool = False
    author: str = ""
    change_note: str = ""
    created_at: datetime | None = None

    @property
    def checksum(self) -> Digest:
        return digest_of([self.name, self.version, self.resolved.written()])

    @property
    def key(self) -> str:
        return f"{self.name}@{self.version}"


class Bundle(Payload):
    """What verdicts are based on: rules, the answer where none speaks, and the knowledge that read the action."""

    policies: tuple[PolicyVersion, ...] = Field(default=(), max_length=20_000)
    defaults: dict[Name, Stop] = Field(default={}, description="By environment, where no rule matches.")
    otherwise: Stop = Field(default="require_approval", description="For every environment not named above.")
    knowledge: str = ""
    format: int = FORMAT

    @property
    def digest(self) -> Digest:
        rules = sorted(policy.checksum for policy in self.policies)
        return digest_of([self.format, self.knowledge, self.defaults, self.otherwise, rules])


class PolicyDraft(Request):
    """What a user sends to create a policy, or a new version of one."""

    document: Annotated[PolicyDocument, strictly(PolicyDocument)]
    change_note: str = Field(default="", max_length=1000)


class ArgumentRange(Payload):
    """The values an argument may take. Exactly one of the fields is set; `any` leaves the value open."""

    equals: Any = None
    one_of: tuple[Any, ...] = ()
    prefix: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    any: bool = False


class EnvelopeEntry(Payload):
    """One kind of call that was approved in advance. An argument not named here must not be given."""

    tool: Pattern
    step: str | None = Field(default=None, description="Only in this step; none means in any.")
    environment: Name
    arguments: dict[str, ArgumentRange] = {}


class Envelope(Payload):
    """What humans approved for the rest of a run: a whole plan, or a scope. Anything else asks again."""

    approval_id: ApprovalId
    run_id: RunId
    entries: tuple[EnvelopeEntry, ...] = Field(default=(), max_length=10_000)
    granted_by: tuple[str, ...] = ()
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


class FreezeFilter(Request):
    """Which freezes to release: one by its id, or all that hold exactly this."""

    id: str | None = None
    where: Annotated[FreezeDraft, strictly(FreezeDraft)] | None = None
