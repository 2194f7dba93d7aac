"""The plan of a run: checked, accepted, and, once the run is under way, changed by whoever mends it."""

from typing import Any

from temporalio import workflow

from activities.guard import GuardActivities
from holdfast.plan import tales
from holdfast.plan.progress import Progress
from schemas.base import JsonObject
from schemas.commands import ResumeCommand
from schemas.events import EventType, NewEvent
from schemas.plans import Plan, StepState
from schemas.runs import RunInput, StepOutcome
from schemas.stages import CheckReport, CheckRequest
from workflows import options
from workflows.asking import asked
from workflows.teller import Teller


class Accepting:
    def __init__(self, *, start: RunInput, progress: Progress, teller: Teller) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller

    async def check(
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
            done=tuple(self.done()),
            events=told,
            key=self._progress.next_key("plan"),
            accepts=accepts,
        )
        report = await self._teller.alive(lambda: asked(_check, request, self._start.catalogue))
        if accepts and not report.fatal:
            self._accept(plan)
        return report

    async def accept(self, plan: Plan) -> None:
        """One that somebody answers for: it is told, and is the run's."""
        await self._teller.tell(tales.plan_accepted(self._progress.next_key("plan"), plan))
        self._accept(plan)

    async def replace(self, plan: Plan) -> bool:
        """The plan in place of what is not done yet; one with errors changes nothing, and says why."""
        outcomes, items = dict(self._progress.outcomes), dict(self._progress.items)
        merged = self._merged(plan)
        if (await self.check(merged)).fatal:
            self._progress.outcomes.update(outcomes)
            self._progress.items.update(items)
            return False
        return True

    async def mend(self, command: ResumeCommand) -> None:
        """A human's help after a failure: other arguments, another plan, higher limits, or simply again."""
        if command.limits is not None:
            self._progress.grant(command.limits)
        self._progress.inputs.update(command.inputs)
        if command.plan is not None:
            for step in command.plan.steps:
                self._progress.swayed.pop(step.id, None)  # the words are a person's now
            await self.replace(command.plan)
        elif command.step is not None and command.arguments is not None:
            await self._rewrite(command.step, command.arguments)
        names = [command.step] if command.step else self._failed()
        if names:
            self._progress.reopen(names)
        if command.skip:
            await self._skip(names, by=command.by)

    def done(self) -> dict[str, StepOutcome]:
        good = (StepState.SUCCEEDED, StepState.SKIPPED)
        return {name: outcome for name, outcome in self._progress.outcomes.items() if outcome.state in good}

    def _accept(self, plan: Plan) -> None:
        self._progress.plan = plan
        self._progress.accepted = True
        self._teller.show()

    async def _rewrite(self, name: str, arguments: JsonObject) -> None:
        plan = self._progress.plan
        if plan is None:
            return
        self._progress.swayed.pop(name, None)  # as above
        steps = tuple(
            step.model_copy(update={"arguments": arguments})
            if step.id == name and step.kind == "tool"
            else step
            for step in plan.steps
        )
        await self.accept(plan.model_copy(update={"steps": steps}))

    async def _skip(self, names: list[str], *, by: str) -> None:
        for name in names:
            self._progress.outcomes[name] = StepOutcome(state=StepState.SKIPPED, summary="skipped by a human")
            await self._teller.tell(self._teller.event(EventType.STEP_SKIPPED, {"by": by}, step=name))

    def _failed(self) -> list[str]:
        """What stands in the way. A failed move does not: the agent has seen it, and goes on from there."""
        return [] if self._start.mode == "react" else self._progress.failures()

    def _merged(self, plan: Plan) -> Plan:
        """The new plan behind what is done: a step that succeeded keeps its place and its outcome."""
        old = self._progress.plan.steps if self._progress.plan else ()
        done = self.done()
        kept = tuple(step for step in old if step.id in done)
        new = tuple(step for step in plan.steps if step.id not in done)
        self._progress.reopen([step.id for step in old if step.id not in done])
        return plan.model_copy(update={"steps": (*kept, *new)})


async def _check(request: CheckRequest) -> CheckReport:
    return await workflow.execute_local_activity_method(
        GuardActivities.check, request, **options.local(f"a plan of {len(request.plan.steps)} steps")
    )


def said(progress: Progress) -> dict[str, Any]:
    """What people have told the run so far, for whoever is asked again."""
    return {"inputs": progress.inputs, "instructions": tuple(progress.instructions)}
