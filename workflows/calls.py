"""Tool steps: a row of them, one with its attempts, or one call for each item of a list."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio import workflow

from activities.story import StoryActivities
from holdfast.plan import tales
from holdfast.plan.conditions import ConditionProblem, holds
from holdfast.plan.graph import references_within
from holdfast.plan.progress import Progress
from holdfast.plan.references import Reference, ReferenceProblem, parse, resolve
from holdfast.plan.requests import first_question_of, is_one_call, question_of
from schemas.events import EventType, NewEvent
from schemas.plans import Step, StepState, ToolStep
from schemas.runs import RunInput, StepOutcome, Tries
from schemas.stages import LoadRequest
from schemas.tools import Lane, ToolError
from workflows import options
from workflows.gate import side_by_side, stop_if_cancelled
from workflows.parking import Parking
from workflows.performer import Performer
from workflows.teller import Teller, history_is_long, seconds

_LARGEST_FAN = 10_000
_LARGEST_TOGETHER = 16_000
_LONGEST_PAUSE_S = 86_400 * 365


class Calls:
    def __init__(
        self, *, start: RunInput, progress: Progress, teller: Teller, performer: Performer, parking: Parking
    ) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller
        self._performer = performer
        self._parking = parking

    def joins(self, first: Step, step: Step) -> bool:
        """Whether a step can be judged now and go out right behind the first: its action is known, and nothing else is
        to be decided about it."""
        return self._plain(first) and self._plain(step) and self._lane(first) is self._lane(step)

    async def row(self, row: Sequence[Step]) -> list[StepOutcome]:
        """Raises ReferenceProblem before anything is done, where an action is not known after all."""
        steps = [step for step in row if isinstance(step, ToolStep)]
        outcomes = await self._performer.perform(
            [first_question_of(step, self._start, self._progress) for step in steps]
        )
        last = steps[len(outcomes) - 1]
        if outcomes[-1].state is not StepState.FAILED or last.retry.attempts == 1:
            return outcomes
        if len(outcomes) > 1:
            return outcomes[:-1]  # its turn comes again, alone: the ledger knows how its first attempt went
        return [await self._attempts(last, first=self._next(last), made=outcomes[0])]

    async def do(self, step: ToolStep) -> StepOutcome:
        if step.for_each is not None:
            return await self._each(step)
        outcome = await self._attempts(step, first=self._next(step))
        return await self._teller.ended(step, outcome) if step.expect else outcome

    # ----------------------------------------------------------------------------------------------------------------

    def _plain(self, step: Step) -> bool:
        return (
            is_one_call(step)
            and step.id not in self._progress.tries
            and all(
                self._has_ended(reference.step) for reference in references_within(step) if reference.step
            )
        )

    def _has_ended(self, name: str) -> bool:
        outcome = self._progress.outcomes.get(name)
        return outcome is not None and outcome.state.ended

    def _lane(self, step: Step) -> Lane | None:
        tool = self._start.catalogue.find(step.tool) if isinstance(step, ToolStep) else None
        return tool.lane if tool else None

    def _next(self, step: Step) -> int:
        return self._progress.attempts(step.id) + 1

    async def _attempts(
        self,
        step: ToolStep,
        *,
        first: int,
        item: int | None = None,
        value: Any = None,
        made: StepOutcome | None = None,
    ) -> StepOutcome:
        """Each attempt is a new action with its own verdict; Temporal's own retries never call a tool twice. `made` is
        what the first came to, where it has been made."""
        place = step.id if item is None else f"{step.id}[{item}]"
        if place in self._progress.tries:  # the run went on in a new execution between two attempts
            first, attempt = await self._pause(step, place, item)
        else:
            attempt = first
        outcome = made
        while True:
            outcome = outcome or await self._attempt(
                step, attempt, first + step.retry.attempts - 1, item=item, value=value
            )
            if _was_stopped(
                outcome
            ):  # as the step ran out of time: that attempt is over, and this is the next
                stop_if_cancelled()
                first, attempt, outcome = first + 1, attempt + 1, None
                continue
            if _is_final(outcome) or attempt == first + step.retry.attempts - 1:
                return outcome
            stop_if_cancelled()
            if step.expect and item is None:
                await self._teller.tell(self._retrying(step, outcome))
            self._progress.tries[place] = self._tries(step, first, attempt + 1)
            (first, attempt), outcome = await self._pause(step, place, item), None

    def _tries(self, step: ToolStep, first: int, following: int) -> Tries:
        wait_s = min(step.retry.wait_s * step.retry.backoff ** (following - first - 1), _LONGEST_PAUSE_S)
        return Tries(first=first, next=following, due=workflow.now() + seconds(wait_s))

    async def _pause(self, step: ToolStep, place: str, item: int | None) -> tuple[int, int]:
        """Until it is time for the next attempt; the first of them and the next."""
        tries = self._progress.tries[place]
        try:
            with self._parking.durable(step.id, item):
                await workflow.sleep(
                    max(tries.due - workflow.now(), timedelta(0)),
                    summary=f"{step.id}: before attempt {tries.next}",
                )
        finally:
            if not self._parking.leaving:
                del self._progress.tries[place]
        return tries.first, tries.next

    async def _attempt(
        self, step: ToolStep, attempt: int, last: int, *, item: int | None, value: Any
    ) -> StepOutcome:
        request = question_of(
            step,
            self._start,
            self._progress,
            attempt=attempt,
            item=item,
            value=value,
            final=attempt == last,
        )
        [outcome] = await self._performer.perform([request])
        return self._expected(step, outcome, value)

    def _expected(self, step: ToolStep, outcome: StepOutcome, value: Any) -> StepOutcome:
        """A call that ended well has still failed its step where it did not bring what the step was for."""
        if step.expect is None or outcome.state is not StepState.SUCCEEDED:
            return outcome
        if holds(step.expect, {**self._scope(value), "output": outcome.output}):
            return outcome
        error = ToolError(
            code="not_as_expected",
            message=f"The call ended well, but this does not hold: {step.expect}",
            remedy="Look at the step's output.",
        )
        return outcome.model_copy(update={"state": StepState.FAILED, "error": error})

    def _retrying(self, step: ToolStep, outcome: StepOutcome) -> NewEvent:
        error = outcome.error.model_dump(mode="json") if outcome.error else None
        return self._teller.event(EventType.STEP_RETRYING, {"error": error}, step=step.id)

    def _scope(self, item: Any = None) -> dict[str, Any]:
        return self._progress.scope(self._start.run_id, item)

    # one call for each item -----------------------------------------------------------------------------------------

    async def _each(self, step: ToolStep) -> StepOutcome:
        """A few at a time. Items that are done stay done across continue-as-new."""
        values = await self._list(step.for_each or "")
        done = self._progress.items.setdefault(step.id, {})
        todo = [index for index in range(len(values)) if index not in done or not done[index].state.ended]
        slots = asyncio.Semaphore(step.concurrency)
        with self._parking.fan(step.id) as busy:

            async def one(index: int) -> None:
                async with slots:
                    # Once those under way have ended, or wait, a new execution takes up the rest.
                    await workflow.wait_condition(lambda: not history_is_long())
                    busy.add(index)
                    done[index] = await self._item(step, index, values[index], done.get(index))
                    busy.discard(index)

            await side_by_side([one(index) for index in todo])
        outcome = _together([done[index] for index in range(len(values))])
        if outcome.state is StepState.SUCCEEDED:
            self._progress.items.pop(step.id, None)
        return await self._teller.ended(step, outcome)

    async def _item(self, step: ToolStep, index: int, value: Any, before: StepOutcome | None) -> StepOutcome:
        first = (before.attempts if before else 0) + 1
        try:
            return await self._attempts(step, first=first, item=index, value=value)
        except (ReferenceProblem, ConditionProblem) as problem:
            error = ToolError(code="bad_reference", message=str(problem))
            return StepOutcome(state=StepState.FAILED, error=error, attempts=first)

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
            **options.local(f"read all of {reference.step}"),
        )
        return {**scope, "steps": {reference.step: {"output": output}}}


def _was_stopped(outcome: StepOutcome) -> bool:
    """The ledger says so of a call that this execution did not see stopped."""
    return outcome.error is not None and outcome.error.code == tales.CANCELLED


def _is_final(outcome: StepOutcome) -> bool:
    return outcome.state is not StepState.FAILED or tales.is_in_doubt(outcome)


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
