"""From a goal to an accepted plan, and to a better one where it failed; or, without a plan, from move to move."""

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.guard import GuardActivities
from activities.think import ThinkActivities
from holdfast.plan import tales
from holdfast.plan.progress import Progress, still_to_do
from holdfast.plan.repetition import repeats
from holdfast.runtime.failures import cause_of
from schemas.commands import ResumeCommand
from schemas.events import EventType, NewEvent
from schemas.plans import Finding, Plan, PlanSource, Step, StepState
from schemas.runs import RunInput, RunStatus, StepOutcome
from schemas.stages import (
    CheckReport,
    CheckRequest,
    FastReport,
    NextMove,
    NextRequest,
    PlanProposal,
    PlanRequest,
    Recollection,
)
from workflows import options
from workflows.asking import asked
from workflows.executor import Executor, LimitHit
from workflows.stopping import RunStopped
from workflows.teller import Teller, was_set_back

_MOST_DRAFTS = 3


class Planning:
    def __init__(
        self,
        *,
        start: RunInput,
        progress: Progress,
        teller: Teller,
        executor: Executor,
        needs_help: Callable[[str, str], Awaitable[None]],
        recall_after: Callable[[list[str], Recollection], Awaitable[Recollection]],
        foresee: Callable[[FastReport], None],
        approve: Callable[[Plan], Awaitable[None]],
    ) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller
        self._executor = executor
        self._needs_help = needs_help
        self._recall_after = recall_after
        self._foresee = foresee
        self._approve = approve

    async def settle(self, recalled: Recollection) -> None:
        """A plan that stands up to the checks and, where it was asked for, to a human."""
        findings: tuple[Finding, ...] = ()
        for attempt in range(_MOST_DRAFTS):
            told: tuple[NewEvent, ...] = ()
            plan = self._progress.plan
            if plan is None:
                plan, told = await self._drafted(recalled, findings, attempt)
            report = await self._check(plan, told=told, accepts=not self._start.approve_plan)
            if not report.fatal:
                if self._start.approve_plan:
                    await self._approve(plan)
                    await self._accept_and_tell(plan)
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
            update={"previous": plan, "failure": failure, "done": self._done()}
        )
        proposal = await self._think(request)
        if proposal.plan is None:
            return False
        return await self._took(self._weighed(proposal.plan, request))

    async def mend(self, command: ResumeCommand) -> None:
        """A human's help after a failure: other arguments, another plan, higher limits, or simply again."""
        if command.limits is not None:
            self._progress.limits = command.limits
        self._progress.inputs.update(command.inputs)
        if command.plan is not None:
            for step in command.plan.steps:
                self._progress.swayed.pop(step.id, None)
            await self._took(command.plan)
        elif command.step is not None and command.arguments is not None:
            await self._rewrite(command.step, command.arguments)
        names = [command.step] if command.step else self._failed()
        if names:
            self._progress.reopen(names)
        if command.skip:
            for name in names:
                self._progress.outcomes[name] = StepOutcome(
                    state=StepState.SKIPPED, summary="skipped by a human"
                )
                await self._teller.tell(
                    self._teller.event(EventType.STEP_SKIPPED, {"by": command.by}, step=name)
                )

    async def observe_and_act(self, recalled: Recollection) -> str:
        """The next move after each observation, until there is an answer. Bounded by the run's limits."""
        plan = self._progress.plan or Plan(steps=(), source=PlanSource.REACT)
        for step in plan.steps:
            if not self._has_ended(step):  # an execution before this one was stopped in the middle of it
                await self._executor.take(step)
        while True:
            self._executor.turn()
            request = self._next_request(plan, recalled)
            move = await self._next(request)
            if move.answer is not None:
                return move.answer
            if move.step is None:
                raise RunStopped(RunStatus.FAILED, f"{move.by} gave neither a step nor an answer")
            step = move.step.model_copy(update={"id": request.name})
            if request.swayed:
                self._progress.swayed[step.id] = None
            if repeats(step, plan.steps):
                raise LimitHit(f"the agent repeats itself: {step.title or step.kind}")
            if move.judged is not None:
                self._foresee(move.judged)
            plan = plan.model_copy(update={"steps": (*plan.steps, step)})
            self._progress.plan = plan
            await self._executor.take(step)

    # ----------------------------------------------------------------------------------------------------------------

    async def _took(self, plan: Plan) -> bool:
        """The plan in place of what is not done yet; one with errors changes nothing, and says why."""
        old = dict(self._progress.outcomes)
        merged = self._merged(plan)
        if (await self._check(merged)).fatal:
            self._progress.outcomes.update(old)
            return False
        return True

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
        plan = self._weighed(proposal.plan, request)
        return plan, (self._teller.event(EventType.PLAN_PROPOSED, data),)

    def _weighed(self, plan: Plan, request: PlanRequest) -> Plan:
        """What a model wrote with text from outside before it says so, and so do its steps. A runbook's plan, or a
        person's, says what it always said."""
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
                cause = cause_of(error)
                await self._needs_help(
                    cause.code, f"no plan could be made: {cause.message} {cause.remedy}".strip()
                )
                if self._progress.plan is not stood:
                    return PlanProposal(plan=self._progress.plan, by="a person")
                request = request.model_copy(update=self._said())
            else:
                self._progress.spend_usd += proposal.spend_usd
                return proposal

    def _next_request(self, plan: Plan, recalled: Recollection) -> NextRequest:
        return NextRequest(
            scope=self._teller.scope,
            goal=self._start.goal,
            inputs=self._progress.inputs,
            agent=self._start.agent,
            catalogue_digest=self._start.catalogue.digest,
            recalled=recalled,
            steps=plan.steps,
            outcomes=self._progress.outcomes,
            instructions=tuple(self._progress.instructions),
            turn=len(plan.steps),
            runbook=self._start.runbook,
            labels=self._start.labels,
            bundle=self._start.bundle,
            swayed=self._progress.hears_outside(recalled),
            again=was_set_back(),
        )

    async def _next(self, request: NextRequest) -> NextMove:
        while True:
            try:
                move = await asked(_next_move, request, self._start.catalogue)
            except ActivityError as error:
                cause = cause_of(error)
                await self._needs_help(
                    cause.code, f"no next move could be made: {cause.message} {cause.remedy}".strip()
                )
                request = request.model_copy(update=self._said())
            else:
                self._progress.spend_usd += move.spend_usd
                return move

    def _failed(self) -> list[str]:
        """What stands in the way. A failed move does not: the agent has seen it, and goes on from there."""
        return [] if self._start.mode == "react" else self._progress.failures()

    def _has_ended(self, step: Step) -> bool:
        outcome = self._progress.outcomes.get(step.id)
        return outcome is not None and outcome.state.ended

    async def _check(
        self, plan: Plan, *, told: tuple[NewEvent, ...] = (), accepts: bool = True
    ) -> CheckReport:
        """What is wrong with the plan; if nothing is, and nobody else is to be asked, it is the run's from now on."""
        request = CheckRequest(
            scope=self._teller.scope,
            plan=plan,
            catalogue_digest=self._start.catalogue.digest,
            inputs=self._progress.inputs,
            limits=self._progress.limits,
            agents=(*self._start.delegates, self._start.agent.name),
            done=tuple(self._done()),
            events=told,
            key=self._progress.next_key("plan"),
            accepts=accepts,
        )
        report = await asked(_check, request, self._start.catalogue)
        if accepts and not report.fatal:
            self._accept(plan)
        return report

    async def _accept_and_tell(self, plan: Plan) -> None:
        await self._teller.tell(tales.plan_accepted(self._progress.next_key("plan"), plan))
        self._accept(plan)

    def _accept(self, plan: Plan) -> None:
        self._progress.plan = plan
        self._progress.accepted = True
        self._teller.show()

    async def _rewrite(self, name: str, arguments: dict[str, object]) -> None:
        plan = self._progress.plan
        if plan is None:
            return
        self._progress.swayed.pop(name, None)  # the words are a person's now
        steps = tuple(
            step.model_copy(update={"arguments": arguments})
            if step.id == name and step.kind == "tool"
            else step
            for step in plan.steps
        )
        await self._accept_and_tell(plan.model_copy(update={"steps": steps}))

    def _merged(self, plan: Plan) -> Plan:
        """The new plan behind what is done: a step that succeeded keeps its place and its outcome."""
        old = self._progress.plan.steps if self._progress.plan else ()
        done = self._done()
        kept = tuple(step for step in old if step.id in done)
        new = tuple(step for step in plan.steps if step.id not in done)
        for step in old:
            if step.id not in done and step.id in self._progress.outcomes:
                self._progress.outcomes[step.id] = still_to_do(self._progress.outcomes[step.id])
        return plan.model_copy(update={"steps": (*kept, *new)})

    def _done(self) -> dict[str, StepOutcome]:
        good = (StepState.SUCCEEDED, StepState.SKIPPED)
        return {name: outcome for name, outcome in self._progress.outcomes.items() if outcome.state in good}

    def _failure(self, name: str) -> str:
        error = self._progress.outcomes[name].error
        return f"{name}: {error.code}: {error.message}" if error else name

    def _said(self) -> dict[str, object]:
        """What people have told the run so far."""
        return {"inputs": self._progress.inputs, "instructions": tuple(self._progress.instructions)}

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
            again=was_set_back(),
        )


async def _plan(request: PlanRequest) -> PlanProposal:
    return await workflow.execute_activity_method(
        ThinkActivities.plan, request, **options.think(f"plan: {request.goal}")
    )


async def _next_move(request: NextRequest) -> NextMove:
    return await workflow.execute_activity_method(
        ThinkActivities.next_move, request, **options.think(f"move {request.turn + 1}")
    )


async def _check(request: CheckRequest) -> CheckReport:
    return await workflow.execute_local_activity_method(
        GuardActivities.check, request, **options.local(f"a plan of {len(request.plan.steps)} steps")
    )
