"""From a goal to an accepted plan, and to a better one where it failed."""

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.think import ThinkActivities
from holdfast.plan.progress import Progress
from holdfast.runtime.failures import cause_of
from schemas.base import StepId
from schemas.events import EventType, NewEvent
from schemas.plans import Finding, Plan, PlanSource
from schemas.runs import RunInput, RunStatus
from schemas.stages import (
    PlanProposal,
    PlanRequest,
    Recollection,
)
from workflows import options
from workflows.accepting import Accepting, said
from workflows.asking import asked
from workflows.gate import stop_if_cancelled
from workflows.stopping import RunStopped
from workflows.teller import Teller

_MOST_DRAFTS = 3


class Planning:
    def __init__(
        self,
        *,
        start: RunInput,
        progress: Progress,
        teller: Teller,
        accepting: Accepting,
        needs_help: Callable[[str, str], Awaitable[None]],
        recall_after: Callable[[list[str], Recollection], Awaitable[Recollection]],
        approve: Callable[[Plan], Awaitable[None]],
    ) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller
        self._accepting = accepting
        self._needs_help = needs_help
        self._recall_after = recall_after
        self._approve = approve

    async def settle(self, recalled: Recollection) -> None:
        """A plan that stands up to the checks and, where it was asked for, to a human."""
        findings: tuple[Finding, ...] = ()
        for attempt in range(_MOST_DRAFTS):
            told: tuple[NewEvent, ...] = ()
            plan = self._progress.plan
            if plan is None:
                plan, told = await self._drafted(recalled, findings, attempt)
            report = await self._accepting.check(plan, told=told, accepts=not self._start.approve_plan)
            if not report.fatal:
                if self._start.approve_plan:
                    await self._approve(plan)
                    await self._accepting.accept(plan)
                return
            findings = report.findings
            if plan.source is PlanSource.GIVEN:
                break
            self._progress.plan = None
        listed = "; ".join(f"{finding.step or 'plan'}: {finding.message}" for finding in findings[:5])
        raise RunStopped(RunStatus.REJECTED, f"the plan has errors: {listed}")

    async def replanned(self, failed: list[str], recalled: Recollection) -> bool:
        """Whether a new plan takes the place of what failed. Bounded; what succeeded stays done."""
        plan = self._progress.plan
        if plan is None or self._progress.replans >= self._progress.limits.replans:
            return False
        steps = {step.id: step for step in plan.steps}
        if not any(steps[name].on_error == "replan" for name in failed):
            return False
        self._progress.replans += 1
        failure = "; ".join(self._failure(name) for name in failed)
        recalled = await self._recall_after(failed, recalled)
        request = self._request(recalled, (), self._progress.replans).model_copy(
            update={"previous": plan, "failure": failure, "done": self._accepting.done()}
        )
        proposal = await self._think(request)
        if proposal.plan is None:
            return False
        return await self._accepting.replace(self._weighed(proposal.plan, request))

    async def _drafted(
        self, recalled: Recollection, findings: tuple[Finding, ...], attempt: int
    ) -> tuple[Plan, tuple[NewEvent, ...]]:
        """A new plan, and what is to be told of it."""
        request = self._request(recalled, findings, attempt)
        proposal = await self._think(request)
        while proposal.missing:
            await self._needs_help("inputs_missing", f"{', '.join(proposal.missing)}. {proposal.note}")
            if self._progress.plan is not None:
                return self._progress.plan, ()
            proposal = await self._think(self._request(recalled, findings, attempt))
        if proposal.plan is None:
            raise RunStopped(RunStatus.REJECTED, proposal.note or f"{proposal.by} found no plan")
        data = {"by": proposal.by, "note": proposal.note, "steps": len(proposal.plan.steps)}
        plan = self._weighed(proposal.plan, request, told=proposal.swayed)
        proposed = self._teller.event(EventType.PLAN_PROPOSED, data)
        return plan, () if proposal.from_story else (proposed,)

    def _weighed(self, plan: Plan, request: PlanRequest, *, told: tuple[StepId, ...] | None = None) -> Plan:
        """What a model wrote with text from outside before it says so, and so do its steps. A runbook's plan, or a
        person's, says what it always said, and one from the story what it was told as."""
        if told is not None:
            self._progress.swayed.update(dict.fromkeys(told))
            return plan
        if plan.source not in (PlanSource.MODEL, PlanSource.CACHE) or not (plan.swayed or request.swayed):
            return plan
        self._progress.swayed.update(dict.fromkeys(step.id for step in plan.steps))
        return plan.model_copy(update={"swayed": True})

    async def _think(self, request: PlanRequest) -> PlanProposal:
        """Asks until there is an answer: an empty budget or a dead model is a human's to mend, not the run's end. What
        was said meanwhile is asked with; a plan that was sent is the answer."""
        stood = self._progress.plan
        while True:
            try:
                proposal = await asked(_plan, request, self._start.catalogue)
            except ActivityError as error:
                stop_if_cancelled()
                cause = cause_of(error)
                await self._needs_help(
                    cause.code, f"no plan could be made: {cause.message} {cause.remedy}".strip()
                )
                if self._progress.plan is not stood:
                    return PlanProposal(plan=self._progress.plan, by="a person")
                request = request.model_copy(update=said(self._progress))
            else:
                self._progress.spend_usd += proposal.spend_usd
                return proposal

    def _failure(self, name: str) -> str:
        error = self._progress.outcomes[name].error
        return f"{name}: {error.code}: {error.message}" if error else name

    def _request(self, recalled: Recollection, findings: tuple[Finding, ...], attempt: int) -> PlanRequest:
        return PlanRequest(
            scope=self._teller.scope,
            goal=self._start.goal,
            inputs=self._progress.inputs,
            agent=self._start.agent,
            mode=self._start.mode,
            runbook=self._start.runbook,
            catalogue_digest=self._start.catalogue.digest,
            recalled=recalled,
            findings=findings,
            instructions=tuple(self._progress.instructions),
            attempt=attempt,
            bundle=self._start.bundle,
            swayed=self._progress.hears_outside(recalled),
            again=self._progress.set_back,
        )


async def _plan(request: PlanRequest) -> PlanProposal:
    return await workflow.execute_activity_method(
        ThinkActivities.plan, request, **options.think(f"plan: {request.goal}")
    )
