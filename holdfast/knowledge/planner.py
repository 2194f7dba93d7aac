"""The planner that needs no model: it finds the runbook for a goal, and plans its steps.

It never runs a runbook on a guess: the match must be sure, the runbook must be written to be run, and it must hold in
the run's environment. Otherwise it says what it found and what is missing.
"""

from holdfast.errors import InvalidInput, NotFound
from holdfast.knowledge.planning import BY, plan_from_runbook
from holdfast.knowledge.ports import Library
from holdfast.knowledge.runbooks import parse_runbook
from holdfast.plan.references import ReferenceProblem, resolve
from schemas.knowledge import (
    DocumentKind,
    RunnableRunbook,
    SearchFilter,
    SearchHit,
    SearchRequest,
    SearchResult,
)
from schemas.plans import PlanSource
from schemas.runs import StepOutcome
from schemas.stages import Answer, AnswerRequest, NextMove, NextRequest, PlanProposal, PlanRequest

NOT_A_MODEL = (
    "The planner here is not a model: it follows runbooks. To have a model plan, set HOLDFAST_MODELS__DEFAULT to any "
    "litellm model name, and the key of its provider."
)
_ANSWER = 7000


class RunbookPlanner:
    """Fulfils `holdfast.ports.Planner` with nothing but a library of runbooks."""

    def __init__(self, *, library: Library) -> None:
        self._library = library

    async def plan(self, request: PlanRequest) -> PlanProposal:
        if request.findings or request.failure:
            return PlanProposal(by=BY, note=_no_second_plan(request))
        try:
            runbook = await self._named(request) if request.runbook else None
        except (NotFound, InvalidInput) as error:
            return PlanProposal(by=BY, note=f"{error} {NOT_A_MODEL}")
        if runbook is None:
            found = await self._search(request)
            runbook = await self._best(request, found)
            if runbook is None:
                return PlanProposal(by=BY, note=f"{_nothing_sure(found)} {NOT_A_MODEL}")
        return self._planned(request, runbook)

    async def next(self, request: NextRequest) -> NextMove:
        """The observe-act loop is a model's work; without one the run follows the plan it has."""
        done = "; ".join(
            f"{name}: {outcome.summary or outcome.state}" for name, outcome in request.outcomes.items()
        )
        said = f"Done so far: {done}. " if done else ""
        return NextMove(answer=f"{said}Choosing the next step needs a model. {NOT_A_MODEL}", by=BY)

    async def answer(self, request: AnswerRequest) -> Answer:
        text = _filled(request) or _told(request)
        return Answer(text=text[:_ANSWER], by="template", cites=request.plan.cites)

    def _planned(self, request: PlanRequest, runbook: RunnableRunbook) -> PlanProposal:
        here = request.scope.environment
        if runbook.environments and here not in runbook.environments:
            allowed = ", ".join(runbook.environments)
            return PlanProposal(
                by=BY, note=f"Runbook {runbook.title!r} may run in {allowed}; this run is in {here}."
            )
        proposal = plan_from_runbook(runbook, request.goal, request.inputs, request.catalogue)
        return proposal.model_copy(update={"note": f"{proposal.note} {NOT_A_MODEL}"})

    async def _named(self, request: PlanRequest) -> RunnableRunbook:
        return await self._read(request.scope.tenant, request.runbook or "")

    async def _read(self, tenant: str, document_id: str) -> RunnableRunbook:
        document = await self._library.read(tenant, document_id)
        return parse_runbook(
            document.id, document.text, media=document.media, title=document.title, version=document.version
        )

    async def _search(self, request: PlanRequest) -> SearchResult:
        where = SearchFilter(kinds=(DocumentKind.RUNBOOK,), environment=request.scope.environment)
        return await self._library.search(
            request.scope.tenant, SearchRequest(query=request.goal[:4000], limit=5, where=where)
        )

    async def _best(self, request: PlanRequest, found: SearchResult) -> RunnableRunbook | None:
        """The first hit, if the search is sure of it and its author meant it to be run."""
        if not found.answered or not found.hits or not found.hits[0].document.runnable:
            return None
        return await self._read(request.scope.tenant, found.hits[0].document.id)


def _no_second_plan(request: PlanRequest) -> str:
    what = "; ".join(finding.message for finding in request.findings) or request.failure
    source = (
        "this plan"
        if request.previous is None or request.previous.source is not PlanSource.RUNBOOK
        else "a runbook"
    )
    return f"A runbook has one plan, and {source} did not hold: {what}. {NOT_A_MODEL}"


def _nothing_sure(found: SearchResult) -> str:
    if not found.hits:
        return "No runbook was found for this goal."
    near = ", ".join(_named(hit) for hit in found.hits[:3])
    return f"No runbook that can be run matches this goal surely. Nearest: {near}. Name one to run it."


def _named(hit: SearchHit) -> str:
    return f"{hit.document.id} ({hit.document.title}{'' if hit.document.runnable else ', to be read only'})"


def _filled(request: AnswerRequest) -> str | None:
    """The plan's own answer, if every reference in it leads somewhere."""
    if not request.plan.answer:
        return None
    steps = {name: _scope_of(outcome) for name, outcome in request.outcomes.items()}
    try:
        return str(resolve(request.plan.answer, {"steps": steps, "inputs": request.inputs}))
    except ReferenceProblem:
        return None


def _scope_of(outcome: StepOutcome) -> dict[str, object]:
    return {"output": outcome.output, "state": outcome.state, "summary": outcome.summary}


def _told(request: AnswerRequest) -> str:
    """What each step brought, in the order of the plan."""
    titles = {step.id: step.title or step.id for step in request.plan.steps}
    lines = [f"{request.goal}", ""]
    for name, title in titles.items():
        outcome = request.outcomes.get(name)
        if outcome is None:
            continue
        error = f": {outcome.error.message}" if outcome.error else ""
        summary = f": {outcome.summary}" if outcome.summary and not error else ""
        lines.append(f"- {title} — {outcome.state}{error}{summary}")
    return "\n".join(lines)
