"""What a planner is asked, and says: a plan, a move, an answer."""

from typing import Literal

from pydantic import Field

from schemas.agents import AgentSpec
from schemas.base import Digest, JsonObject, Labels, Payload, StepId
from schemas.plans import Citation, Finding, Plan, Step
from schemas.runs import StepOutcome
from schemas.stages.guard import FastReport
from schemas.stages.remember import Recollection
from schemas.stages.scope import RunScope
from schemas.tools import Catalogue


class PlanRequest(Payload):
    """Ask for a plan, or, where `findings` or `failure` stand, for a better one."""

    scope: RunScope
    goal: str
    inputs: JsonObject = {}
    agent: AgentSpec
    mode: Literal["plan", "react", "runbook"] = "plan"
    runbook: str | None = None
    catalogue: Catalogue = Catalogue()
    catalogue_digest: Digest | None = Field(
        default=None, description="Of the catalogue of the run, where it is left out here."
    )
    recalled: Recollection = Recollection()
    previous: Plan | None = None
    findings: tuple[Finding, ...] = ()
    done: dict[str, StepOutcome] = {}
    failure: str = ""
    instructions: tuple[str, ...] = ()
    attempt: int = 0
    bundle: Digest | None = Field(
        default=None, description="The policies in force at the start; None for those that ship."
    )
    patient: bool = Field(
        default=True, description="Wait for a model that may be back soon; else do without."
    )
    swayed: bool = Field(default=False, description="Text from outside stands before the planner.")
    again: bool = Field(
        default=False, description="The run was set back in Temporal: its story may have this plan already."
    )


class PlanProposal(Payload):
    """A plan; or what is missing for one; or why there is none."""

    plan: Plan | None = None
    by: str = Field(description="Who planned: a model's name, or `runbook`.")
    missing: tuple[str, ...] = Field(default=(), description="Inputs a human has to give.")
    note: str = ""
    spend_usd: float = 0
    swayed: tuple[StepId, ...] | None = Field(
        default=None, description="Of a plan from the story: the steps that were told as swayed."
    )

    @property
    def from_story(self) -> bool:
        return self.swayed is not None


class NextRequest(Payload):
    """Ask, in the observe-act loop, what to do next."""

    scope: RunScope
    goal: str
    inputs: JsonObject = {}
    agent: AgentSpec
    catalogue: Catalogue = Catalogue()
    catalogue_digest: Digest | None = Field(
        default=None, description="Of the catalogue of the run, where it is left out here."
    )
    recalled: Recollection = Recollection()
    steps: tuple[Step, ...] = ()
    outcomes: dict[str, StepOutcome] = {}
    instructions: tuple[str, ...] = ()
    turn: int = 0
    runbook: str | None = None
    labels: Labels = {}
    bundle: Digest | None = None
    swayed: bool = Field(default=False, description="Text from outside stands before the model.")
    again: bool = Field(
        default=False, description="The run was set back in Temporal: its story may have this move already."
    )

    @property
    def name(self) -> StepId:
        """What the step will be called that the move leads to."""
        return f"move_{self.turn + 1}"


class NextMove(Payload):
    """One step to take, or the final answer. Where the step's action could be judged at once, its verdict comes along."""

    step: Step | None = None
    answer: str | None = None
    thought: str = ""
    by: str = ""
    spend_usd: float = 0
    judged: FastReport | None = None
    swayed: bool | None = Field(
        default=None, description="Of a move from the story: whether it was told as swayed."
    )


class AnswerRequest(Payload):
    scope: RunScope
    goal: str
    agent: AgentSpec
    plan: Plan
    outcomes: dict[str, StepOutcome] = {}
    inputs: JsonObject = {}
    patient: bool = Field(default=True, description="Wait for a model that is only busy; else do without.")


class Answer(Payload):
    text: str
    by: str = "template"
    cites: tuple[Citation, ...] = ()
    spend_usd: float = 0
