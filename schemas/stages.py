"""The stages of a run, as its workflow asks for them: one request and one report for each activity."""

from typing import Literal

from pydantic import Field

from schemas.actions import Action
from schemas.agents import AgentSpec, RunLimits
from schemas.approvals import ApprovalSubject, ApprovalSummary
from schemas.base import ApprovalId, Digest, JsonObject, Labels, Name, Payload, RunId, StepId
from schemas.brakes import EnvelopeEntry
from schemas.events import NewEvent
from schemas.plans import Citation, Finding, Plan, Step
from schemas.runs import RunInput, RunState, RunStatus, StepOutcome
from schemas.tools import Catalogue, ToolResult, ToolSpec
from schemas.verdicts import ApprovalTerms, Settler, Verdict


class RunScope(Payload):
    """Whose work this is. Every stage carries it; logs, traces and rows are bound to it."""

    tenant: Name
    run_id: RunId
    agent: Name
    environment: Name


class RunPatch(Payload):
    """What changes in the row of the run; what is None stays."""

    status: RunStatus | None = None
    reason: str | None = None
    answer: str | None = None
    outputs: JsonObject | None = None
    cites: tuple[Citation, ...] | None = None
    spend_usd: float | None = None


BehindTheEnd = Literal["refused", "dropped", "told"]
"""What becomes of news of a run that has told its end."""


class RecordRequest(Payload):
    """Tell events, and change the run's row with them, in one transaction."""

    scope: RunScope
    events: tuple[NewEvent, ...] = ()
    patch: RunPatch | None = None
    behind_the_end: BehindTheEnd = "refused"


class LoadRequest(Payload):
    """Read back an output that was kept aside."""

    scope: RunScope
    digest: Digest


class LookUpRequest(Payload):
    """Ask the story how these steps ended."""

    scope: RunScope
    steps: tuple[StepId, ...]


class StepsLookedUp(Payload):
    outcomes: dict[StepId, StepOutcome] = {}
    items: dict[StepId, dict[int, StepOutcome]] = Field(default={}, description="The calls of a `for_each`.")


class RunLookUp(Payload):
    """Ask the store how another run of the same tenant stands."""

    scope: RunScope
    run_id: RunId


class PastRequest(Payload):
    """Ask what an agent did that worked on the same goal in one of these runs, the last of them first."""

    scope: RunScope
    runs: tuple[RunId, ...]
    goal: str
    agent: Name


class Past(Payload):
    """What whoever goes on begins with. `under_way`: that agent has not ended yet, and is not to be overtaken."""

    state: RunState = RunState()
    under_way: RunId | None = None


class RecallRequest(Payload):
    scope: RunScope
    goal: str
    runbook: str | None = None
    thread: str | None = None
    token_budget: int = 4000
    alert: str = Field(default="", description="The alert it answers, where that is known.")
    tools: tuple[str, ...] = Field(default=(), description="Tools about to be called, or called already.")
    error: str = Field(default="", description="The error code of a call that failed.")
    calls: tuple[JsonObject, ...] = Field(
        default=(), description="The arguments of calls that failed: what programs their commands run."
    )
    labels: Labels = {}


class Recalled(Payload):
    """One thing that is known: text for the planner, and where it is from."""

    cite: Citation
    text: str
    score: float = 0
    why: str = ""
    untrusted: bool = False


class Recollection(Payload):
    items: tuple[Recalled, ...] = ()
    note: str = ""


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


class ActRequest(Payload):
    """Perform one judged action. The worker recomputes the digest and looks for the verdict itself."""

    scope: RunScope
    action: Action
    digest: Digest
    tool_digest: Digest
    step_title: str = ""
    opens: bool = Field(
        default=False, description="The step starts with this call; otherwise it started with its verdict."
    )
    closes: bool = Field(
        default=True, description="The step ends with this action; false for one item of many."
    )
    final: bool = Field(default=True, description="No attempt follows, should this one fail.")


class ActRow(Payload):
    """Perform the judged actions of a row of steps, one after the other, for as long as each succeeds."""

    calls: tuple[ActRequest, ...] = Field(min_length=1)


class ActReport(Payload):
    """What became of it. `unknown`: it may or may not have happened, and a human must say. `stale`: the rules have
    changed since it was judged, or the verdict has expired. `over`: the run had ended, and was not said to go on."""

    state: Literal["done", "unknown", "refused", "held", "paused", "stale", "over"]
    result: ToolResult | None = None
    why: str = ""


class ActReports(Payload):
    """Of the first calls of the row, at least of one; those behind have not gone out."""

    reports: tuple[ActReport, ...] = Field(min_length=1)


class FastReport(Payload):
    """The verdict on an action and, where it allows a harmless read, what the read brought."""

    verdict: Verdict
    result: ToolResult | None = None


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


class LearnRequest(Payload):
    scope: RunScope
    goal: str
    status: RunStatus
    plan: Plan | None = None
    outcomes: dict[str, StepOutcome] = {}
    approvals: tuple[str, ...] = ()
    answer: str = ""
    thread: str | None = None


class Learned(Payload):
    items: tuple[str, ...] = ()
