"""Policies as data: what a rule says, where it holds, and the bundle of rules a verdict is based on.

A document is what people write. A version is a document that can never change again. A bundle is a set of versions
under one digest; activating it moves a pointer, and every verdict names the digest it was based on.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_serializer, field_validator, model_validator

from schemas.base import Digest, JsonObject, Labels, Name, Payload
from schemas.canonical import digest_of
from schemas.tools import EffectClass, ToolName
from schemas.verdicts import ApprovalTerms, Decision

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

    tool: ToolName = "shell"
    payload: Literal["none", "shell", "python", "http", "sql", "file"] = "shell"
    effect: EffectClass = EffectClass.IRREVERSIBLE
    source: Literal["builtin", "manifest", "mcp"] = "builtin"
    arguments: JsonObject = {}
    environment: Name = "dev"
    agent: Name = "operator"
    runbook: str | None = None
    labels: Labels = {}
    tainted: tuple[str, ...] = ()
    swayed: bool = False
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
    judge: Literal["panel"] | bool = Field(
        default=False,
        description="A model may settle what this rule would ask people about; `panel`: only several of one mind may.",
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

    @field_serializer("document", "resolved", mode="wrap")
    def _as_written(self, document: PolicyDocument, _usual: object):  # type: ignore[no-untyped-def] # noqa: ANN202 -- a type would take the place of the document's schema
        """Whoever reads it, and sends it again, must not set what its author left to a template or a parent."""
        return document.written()

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
