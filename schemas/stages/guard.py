"""Actions and plans before the guardian: its verdicts, and what it would say."""

from pydantic import Field

from schemas.actions import Action
from schemas.agents import RunLimits
from schemas.base import Digest, JsonObject, Payload, StepId
from schemas.events import NewEvent
from schemas.plans import Finding, Plan, Step
from schemas.runs import RunInput
from schemas.stages.scope import RunScope
from schemas.tools import Catalogue, ToolResult, ToolSpec
from schemas.verdicts import ApprovalTerms, Settler, Verdict


class JudgeRequest(Payload):
    """Ask the guardian about one action."""

    scope: RunScope
    action: Action
    tool: ToolSpec
    step_title: str = ""
    step_why: str = ""
    opens: bool = Field(default=True, description="The step starts with this action.")
    closes: bool = Field(
        default=True, description="The step ends with this action; false for one item of many."
    )
    final: bool = Field(default=True, description="No attempt follows, should this one fail.")
    move: Step | None = Field(
        default=None, description="The step as the agent thought of it, where no plan lists it."
    )
    round: int = Field(default=0, description="How often this action was held and asked about again.")
    bundle: Digest | None = Field(
        default=None, description="The bundle the run started under; its rules hold beside those now active."
    )
    asked: bool = Field(
        default=False, description="A model was asked, or a human: whoever has not answered by now will not."
    )


class OpinionRequest(Payload):
    """Ask a model, or a panel of them, about an action that the rules leave unclear."""

    request: JudgeRequest
    who: Settler


class JudgeRow(Payload):
    """Ask about the actions of a row of steps, of which each will wait for the one before it."""

    requests: tuple[JudgeRequest, ...] = Field(min_length=1)


class Verdicts(Payload):
    """One for each action of the row, in its order."""

    verdicts: tuple[Verdict, ...]


class FastReport(Payload):
    """The verdict on an action and, where it allows a harmless read, what the read brought."""

    verdict: Verdict
    result: ToolResult | None = None


class FastReports(Payload):
    """Of the first reads of the row, at least of one."""

    reports: tuple[FastReport, ...] = Field(min_length=1)


class CheckRequest(Payload):
    """Ask what is wrong with a plan, before anybody acts on it; and tell, at once, what came of it."""

    scope: RunScope
    plan: Plan
    catalogue: Catalogue = Catalogue()
    catalogue_digest: Digest | None = Field(
        default=None, description="Of the catalogue of the run, where it is left out here."
    )
    inputs: JsonObject = {}
    limits: RunLimits = RunLimits()
    done: tuple[str, ...] = ()
    agents: tuple[str, ...] = Field(default=(), description="The agents a step may be handed to.")
    events: tuple[NewEvent, ...] = Field(default=(), description="What is to be told before.")
    key: str = Field(
        default="", description="The place in the story of the event that tells what came of it."
    )
    accepts: bool = Field(default=True, description="A plan without fatal findings is the run's from now on.")


class CheckReport(Payload):
    findings: tuple[Finding, ...] = ()

    @property
    def fatal(self) -> bool:
        return any(finding.fatal for finding in self.findings)


class OutlookRequest(Payload):
    """Ask what the guardian would say of a plan's calls, as far as they are known before the first of them."""

    scope: RunScope
    run: RunInput = Field(description="The run, without its tools.")
    plan: Plan
    catalogue: Catalogue = Catalogue()
    catalogue_digest: Digest | None = Field(
        default=None, description="Of the catalogue of the run, where it is left out here."
    )


class PlanOutlook(Payload):
    """What approving the plan now spares its steps, and what it does not."""

    terms: ApprovalTerms = Field(default=ApprovalTerms(), description="The strictest of the steps it covers.")
    covered: tuple[StepId, ...] = Field(default=(), description="They need people, and are approved with it.")
    apart: tuple[StepId, ...] = Field(default=(), description="They need people, and ask by themselves.")
    denied: tuple[StepId, ...] = Field(
        default=(), description="The rules as they are now will not let them go out."
    )
    open: tuple[StepId, ...] = Field(
        default=(), description="What they do is known only when their turn comes."
    )
