"""How each kind of step is done. Every one ends in an outcome; only cancellation leaves by exception."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

from activities.story import StoryActivities
from holdfast.plan.conditions import ConditionProblem, holds
from holdfast.plan.graph import references_within
from holdfast.plan.progress import Progress
from holdfast.plan.references import Reference, ReferenceProblem, parse, resolve
from schemas.actions import Action
from schemas.approvals import ApprovalStatus, ApprovalSubject, ApprovalSummary
from schemas.canonical import digest_of
from schemas.events import EventType, NewEvent
from schemas.plans import AgentStep, ApprovalStep, PanelStep, Step, StepState, ToolStep, WaitStep
from schemas.runs import RunInput, StepOutcome
from schemas.stages import JudgeRequest, LoadRequest
from schemas.tools import Lane, ToolError, ToolSpec
from schemas.verdicts import ApprovalTerms
from workflows import options
from workflows.desk import Desk
from workflows.gate import stop_if_cancelled
from workflows.panel import Panels
from workflows.parking import Parking
from workflows.performer import Performer
from workflows.teller import Teller, seconds

Delegate = Callable[[AgentStep, str, dict[str, Any]], Awaitable[StepOutcome]]

_LARGEST_FAN = 10_000
_LARGEST_TOGETHER = 16_000


class Steps:
    """Does steps, of every kind."""

    def __init__(
        self,
        *,
        start: RunInput,
        progress: Progress,
        teller: Teller,
        desk: Desk,
        performer: Performer,
        parking: Parking,
        delegate: Delegate,
    ) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller
        self._desk = desk
        self._performer = performer
        self._delegate = delegate
        self._parking = parking
        self._panels = Panels(start=start, progress=progress, teller=teller, desk=desk, parking=parking)

    async def do(self, row: Sequence[Step]) -> list[StepOutcome]:
        """The steps of the row, whole, until one does not succeed; of one at least there is an outcome."""
        first = row[0]
        label = first.title if len(row) == 1 else f"{first.id} … {row[-1].id}"
        with workflow.create_event_group(first.id, label=label or None).scope():
            outcomes = [await self._bounded(first)] if len(row) == 1 else await self._row(row)
        self._teller.done(*(step.id for step in row))
        return outcomes

    def joins(self, first: Step, step: Step) -> bool:
        """Whether a step can be judged now and go out right behind the first: its action is known, and nothing else is
        to be decided about it."""
        return self._plain(first) and self._plain(step) and self._lane(first) is self._lane(step)

    def _plain(self, step: Step) -> bool:
        return (
            step.kind == "tool"
            and step.when is None
            and step.for_each is None
            and step.timeout_s is None
            and step.retry.attempts == 1
            and all(
                self._has_ended(reference.step) for reference in references_within(step) if reference.step
            )
        )

    def _has_ended(self, name: str) -> bool:
        outcome = self._progress.outcomes.get(name)
        return outcome is not None and outcome.state.ended

    def _lane(self, step: Step) -> Lane | None:
        tool = self._start.catalogue.find(step.tool) if step.kind == "tool" else None
        return tool.lane if tool else None

    async def _row(self, row: Sequence[Step]) -> list[StepOutcome]:
        try:
            requests = [self._only_attempt(step) for step in row if step.kind == "tool"]
        except ReferenceProblem:
            return [await self._bounded(row[0])]
        return await self._performer.perform(requests)

    async def _bounded(self, step: Step) -> StepOutcome:
        try:
            if step.when is not None and not holds(step.when, self._scope()):
                return await self._told(
                    step, StepOutcome(state=StepState.SKIPPED, summary=f"not: {step.when}")
                )
            if step.timeout_s is None:
                return await self._kind(step)
            return await asyncio.wait_for(self._kind(step), step.timeout_s)
        except (ReferenceProblem, ConditionProblem) as problem:
            error = ToolError(code="bad_reference", message=str(problem))
            return await self._told(step, StepOutcome(state=StepState.FAILED, error=error))
        except TimeoutError:
            error = ToolError(code="step_timeout", message=f"The step took longer than {step.timeout_s:g} s.")
            return await self._told(step, StepOutcome(state=StepState.FAILED, error=error))

    async def _kind(self, step: Step) -> StepOutcome:
        match step:
            case ToolStep():
                return await (self._each(step) if step.for_each else self._tool(step))
            case AgentStep():
                return await self._agent(step)
            case PanelStep():
                await self._started(step)
                return await self._told(step, await self._panels.ask(step))
            case ApprovalStep():
                return await self._approval(step)
            case WaitStep():
                return await self._wait(step)

    # tool ------------------------------------------------------------------------------------------------------------

    async def _tool(self, step: ToolStep) -> StepOutcome:
        return await self._attempts(step, item=None, value=None, first=self._progress.attempts(step.id) + 1)

    def _only_attempt(self, step: ToolStep) -> JudgeRequest:
        attempt = self._progress.attempts(step.id) + 1
        return self._request(step, self._tool_of(step), item=None, value=None, attempt=attempt, final=True)

    def _tool_of(self, step: ToolStep) -> ToolSpec:
        tool = self._start.catalogue.find(step.tool)
        if tool is None:
            raise ReferenceProblem(f"there is no tool {step.tool} in this run's catalogue")
        return tool

    async def _attempts(self, step: ToolStep, *, item: int | None, value: Any, first: int) -> StepOutcome:
        """Each attempt is a new action with its own verdict; Temporal's own retries never call a tool twice."""
        tool = self._tool_of(step)
        last = first + step.retry.attempts - 1
        pause = step.retry.wait_s
        for attempt in range(first, last + 1):
            request = self._request(
                step, tool, item=item, value=value, attempt=attempt, final=attempt == last
            )
            [outcome] = await self._performer.perform([request])
            if outcome.state is not StepState.FAILED or attempt == last:
                return outcome
            stop_if_cancelled()
            await workflow.sleep(pause)
            pause *= step.retry.backoff
        raise AssertionError(step.id)  # a step has at least one attempt

    def _request(
        self, step: ToolStep, tool: ToolSpec, *, item: int | None, value: Any, attempt: int, final: bool
    ) -> JudgeRequest:
        action = Action(
            tenant=self._start.tenant,
            run_id=self._start.run_id,
            step_id=step.id,
            item=item,
            attempt=attempt,
            tool=tool.name,
            tool_version=tool.version,
            arguments=resolve(step.arguments, self._scope(value)),
            environment=self._start.environment,
            agent=self._start.agent.name,
            runbook=self._start.runbook,
            labels=self._start.labels,
            tainted=self._progress.tainted(step),
            claimed_risk=step.claimed_risk,
        )
        return JudgeRequest(
            scope=self._teller.scope,
            action=action,
            tool=tool,
            step_title=step.title,
            step_why=step.why,
            bundle=self._start.bundle,
            opens=not item,
            closes=item is None,
            final=final,
        )

    async def _each(self, step: ToolStep) -> StepOutcome:
        """One call per item, a few at a time. Items that are done stay done across continue-as-new."""
        values = await self._list(step.for_each or "")
        done = self._progress.items.setdefault(step.id, {})
        todo = [index for index in range(len(values)) if index not in done]
        slots = asyncio.Semaphore(step.concurrency)
        busy: set[int] = set()

        async def one(index: int) -> None:
            async with slots:
                if history_is_long():
                    await self._rest(step, busy)
                busy.add(index)
                done[index] = await self._attempts(step, item=index, value=values[index], first=1)
                busy.discard(index)

        async with asyncio.TaskGroup() as group:
            for index in todo:
                group.create_task(one(index))
        outcome = _together([done[index] for index in range(len(values))])
        self._progress.items.pop(step.id, None)
        return await self._told(step, outcome)

    async def _rest(self, step: ToolStep, busy: set[int]) -> None:
        """Start no further item: once those under way have ended, a new execution takes up the rest."""
        await workflow.wait_condition(lambda: not busy)
        with self._parking.durable(step.id):
            await workflow.wait_condition(lambda: False)

    async def _list(self, text: str) -> list[Any]:
        parts = parse(text)
        if len(parts) == 1 and isinstance(parts[0], Reference):
            values = resolve(text, await self._scope_with_whole(parts[0]))
        else:
            raise ReferenceProblem(f"for_each takes one reference to a list, not {text!r}")
        if not isinstance(values, list):
            raise ReferenceProblem(f"for_each needs a list; {text} is {type(values).__name__}")
        if len(values) > _LARGEST_FAN:
            raise ReferenceProblem(f"for_each takes at most {_LARGEST_FAN} items; {text} has {len(values)}")
        return values

    async def _scope_with_whole(self, reference: Reference) -> dict[str, Any]:
        """The scope, with the whole output of the step it reads, where history only holds a cut view."""
        scope = self._scope()
        outcome = self._progress.outcomes.get(reference.step or "")
        if outcome is None or outcome.artifact is None:
            return scope
        output = await workflow.execute_local_activity_method(
            StoryActivities.load_output,
            LoadRequest(scope=self._teller.scope, digest=outcome.artifact.digest),
            **options.LOCAL,
        )
        return {**scope, "steps": {reference.step: {"output": output}}}

    # agent, approval, wait -------------------------------------------------------------------------------------------

    async def _agent(self, step: AgentStep) -> StepOutcome:
        goal = str(resolve(step.goal, self._scope()))
        self._teller.doing(step.id, f"agent {step.agent}: {goal}")
        await self._started(step)
        return await self._told(step, await self._delegate(step, goal, resolve(step.inputs, self._scope())))

    async def _approval(self, step: ApprovalStep) -> StepOutcome:
        message = str(resolve(step.message, self._scope()))
        await self._started(step)
        question = self._desk.question(
            ApprovalSubject.STEP,
            digest_of([self._start.run_id, step.id, message, self._progress.generation]),
            ApprovalSummary(
                what=step.title or message[:140], where=self._start.environment, why=step.why, detail=message
            ),
            step_id=step.id,
            terms=ApprovalTerms(group=step.group, quorum=step.quorum, expires_s=step.expires_s),
        )
        self._teller.doing(step.id, "waits for approval")
        with self._parking.durable(step.id):
            approval = await self._desk.decide(question)
        comment = "; ".join(decision.comment for decision in approval.decisions if decision.comment)
        if approval.status is ApprovalStatus.APPROVED:
            by = [decision.approver for decision in approval.decisions]
            return await self._told(
                step, StepOutcome(state=StepState.SUCCEEDED, output={"approvers": by, "comment": comment})
            )
        why = f"approval {approval.status.value}" + (f": {comment}" if comment else "")
        return await self._told(
            step, StepOutcome(state=StepState.DENIED, error=ToolError(code="denied", message=why))
        )

    async def _wait(self, step: WaitStep) -> StepOutcome:
        await self._started(step)
        self._teller.doing(step.id, f"waits for {step.event or 'time'}")
        if step.event is None:
            with self._parking.durable(step.id):
                await workflow.sleep(max(self._wake(step) - workflow.now(), timedelta(0)))
            return await self._told(step, StepOutcome(state=StepState.SUCCEEDED, summary="the time has come"))
        event = step.event
        has_deadline = step.seconds is not None or step.until is not None
        left = max(self._wake(step) - workflow.now(), timedelta(0)) if has_deadline else None
        try:
            with self._parking.durable(step.id):
                await workflow.wait_condition(lambda: event in self._progress.posted, timeout=left)
        except TimeoutError:
            error = ToolError(code="event_missing", message=f"The event {event} did not come in time.")
            return await self._told(step, StepOutcome(state=StepState.FAILED, error=error))
        data = self._progress.posted.pop(event)
        return await self._told(step, StepOutcome(state=StepState.SUCCEEDED, output=data, untrusted=True))

    def _wake(self, step: WaitStep) -> datetime:
        """When it wakes; fixed at its start, so that a roll-over does not make it wait anew."""
        known = self._progress.wakes.get(step.id)
        if known is None:
            known = workflow.now() + seconds(step.seconds or 0)
            if step.until is not None:
                known = _time(str(resolve(step.until, self._scope())))
            self._progress.wakes[step.id] = known
        return known

    # telling ---------------------------------------------------------------------------------------------------------

    def _scope(self, item: Any = None) -> dict[str, Any]:
        return self._progress.scope(self._start.run_id, item)

    async def _started(self, step: Step) -> None:
        """Told once, also where continue-as-new takes the step up again."""
        key = f"{step.id}:started:{self._progress.generation}"
        data = {"title": step.title, "kind": step.kind}
        await self._teller.tell(NewEvent(key=key, type=EventType.STEP_STARTED, step_id=step.id, data=data))

    async def _told(self, step: Step, outcome: StepOutcome) -> StepOutcome:
        """Steps whose end no tool call tells are told here."""
        kind = {
            StepState.SUCCEEDED: EventType.STEP_SUCCEEDED,
            StepState.SKIPPED: EventType.STEP_SKIPPED,
            StepState.DENIED: EventType.STEP_DENIED,
        }.get(outcome.state, EventType.STEP_FAILED)
        data = {"outcome": outcome.model_dump(mode="json", exclude_defaults=True) | {"state": outcome.state}}
        if outcome.error:
            data["error"] = outcome.error.model_dump(mode="json")
        await self._teller.tell(self._teller.event(kind, data, step=step.id))
        return outcome


def history_is_long() -> bool:
    return workflow.info().is_continue_as_new_suggested()


def _together(outcomes: list[StepOutcome]) -> StepOutcome:
    """One outcome for many calls: good only if all were."""
    failed = [index for index, outcome in enumerate(outcomes) if outcome.state is not StepState.SUCCEEDED]
    outputs: list[Any] = [outcome.output for outcome in outcomes]
    if len(str(outputs)) > _LARGEST_TOGETHER:
        outputs = [outcome.summary for outcome in outcomes][:1000]
    error = None
    if failed:
        first = outcomes[failed[0]].error
        message = f"{len(failed)} of {len(outcomes)} calls failed; item {failed[0]}: {first.message if first else ''}"
        error = ToolError(code=first.code if first else "failed", message=message)
    denied = bool(failed) and all(outcomes[index].state is StepState.DENIED for index in failed)
    return StepOutcome(
        state=(StepState.DENIED if denied else StepState.FAILED) if failed else StepState.SUCCEEDED,
        output={"items": outputs, "count": len(outcomes), "failed": failed[:1000]},
        error=error,
        untrusted=any(outcome.untrusted for outcome in outcomes),
    )


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ReferenceProblem(f"{text!r} is not an ISO 8601 time") from error
    if time.tzinfo is None:
        raise ReferenceProblem(f"{text!r} needs an offset, such as Z or +02:00")
    return time
