"""An agent: a versioned role. What it is told, what it may use, how far it may go."""

from typing import Literal

from pydantic import Field

from schemas.base import JsonObject, Labels, Name, Payload, Request


class RunLimits(Payload):
    """How far a run may go. Reaching a limit asks a human or ends the run; it never goes on in silence."""

    steps: int = Field(default=500, ge=1, le=100_000)
    wall_s: float = Field(default=86_400 * 30, gt=0, le=86_400 * 365)
    spend_usd: float | None = Field(default=None, ge=0)
    tool_s: float | None = Field(default=None, gt=0)
    replans: int = Field(default=2, ge=0, le=20)


Mode = Literal["plan", "react", "runbook"]
PromptName = Literal["plan", "next", "answer", "judge_plan"]
"""The prompts whose system text an agent may bring itself."""


class AgentSpec(Payload):
    """One version of an agent. A run keeps the version it started with."""

    name: Name
    version: int = Field(default=1, ge=1)
    description: str = Field(default="", max_length=2000)
    instructions: str = Field(default="", max_length=32_000)
    tools: tuple[str, ...] = Field(default=("*",), description="Names, or prefixes that end in `*`.")
    model: str | None = Field(
        default=None, description="A litellm model name; none means the deployment's routes."
    )
    mode: Mode = "plan"
    limits: RunLimits = RunLimits()
    delegates: tuple[Name, ...] = Field(default=(), description="Agents it may hand a step to.")
    prompts: JsonObject = Field(default={}, description="Own versions of the prompt templates, by name.")
    alternatives: int = Field(
        default=1, ge=1, le=5, description="Plans a model makes for one goal; a judge takes the best."
    )
    labels: Labels = {}


class AgentDraft(Request):
    """What a user sends to create an agent, or a new version of one."""

    name: Name
    description: str = Field(default="", max_length=2000)
    instructions: str = Field(default="", max_length=32_000)
    tools: tuple[str, ...] = ("*",)
    model: str | None = None
    mode: Mode = "plan"
    limits: RunLimits = RunLimits()
    delegates: tuple[Name, ...] = ()
    prompts: dict[PromptName, str] = Field(
        default={}, description="Own system texts in place of the ones that ship, by name."
    )
    alternatives: int = Field(default=1, ge=1, le=5)
    labels: Labels = {}
