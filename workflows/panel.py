"""A panel step: several models are asked, and where they come to no consensus, whoever the step says."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception
from temporalio.workflow import ActivityConfig

from activities.panel import PanelActivities
from holdfast.plan.panels import (
    asked_by,
    decided_by_people,
    panel_id_for,
    question_to_people,
    settled,
    undecided,
)
from holdfast.plan.progress import Progress
from holdfast.runtime.failures import cause_of
from schemas.approvals import ApprovalSubject
from schemas.canonical import digest_of
from schemas.events import EventType, NewEvent
from schemas.panels import ConveneRequest, PanelMethod, PanelRequest, PanelResult, VoiceAnswer
from schemas.plans import PanelStep, StepState
from schemas.runs import RunInput, StepOutcome
from schemas.verdicts import ApprovalTerms
from workflows import options
from workflows.desk import Desk
from workflows.parking import Parking
from workflows.teller import Teller, seconds

_AROUND_THE_VOICES_S = 60.0


class Panels:
    """Has panels sit. A step that is taken up again after a roll-over finds what its panel said, and pays nothing."""

    def __init__(
        self, *, start: RunInput, progress: Progress, teller: Teller, desk: Desk, parking: Parking
    ) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller
        self._desk = desk
        self._parking = parking

    async def ask(self, step: PanelStep) -> StepOutcome:
        attempt = self._progress.attempts(step.id) + 1
        request = asked_by(step, self._progress.scope(self._start.run_id))
        self._teller.doing(step.id, f"panel: {request.question[:140]}")
        try:
            result = await self._convene(step, request, attempt)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            outcome = StepOutcome(state=StepState.FAILED, error=cause_of(error))
        else:
            await self._teller.tell(*(_called(step, result, voice) for voice in result.voices))
            outcome = await self._concluded(step, request, result)
            # Counted only now: what stands above may be done again after a roll-over.
            self._progress.spend_usd += result.cost_usd
        return outcome.model_copy(update={"attempts": attempt})

    async def _convene(self, step: PanelStep, request: PanelRequest, attempt: int) -> PanelResult:
        start = self._start
        convene = ConveneRequest(
            id=panel_id_for(
                start.run_id, step.id, request, generation=self._progress.generation, attempt=attempt
            ),
            tenant=start.tenant,
            run_id=start.run_id,
            step_id=step.id,
            agent=start.agent.name,
            run_limit_usd=start.agent.limits.spend_usd,
            panel=request,
        )
        return await workflow.execute_activity_method(PanelActivities.convene, convene, **_options(request))

    async def _concluded(self, step: PanelStep, request: PanelRequest, result: PanelResult) -> StepOutcome:
        untrusted = self._progress.chosen_outside(step.id, step.question, step.context)
        if result.escalate and step.escalate == "human":
            return await self._decided_by_people(step, request, result, untrusted=untrusted)
        if result.escalate and step.escalate == "fail":
            return undecided(result)
        return settled(result, untrusted=untrusted)

    async def _decided_by_people(
        self, step: PanelStep, request: PanelRequest, result: PanelResult, *, untrusted: bool
    ) -> StepOutcome:
        question = self._desk.question(
            ApprovalSubject.STEP,
            digest_of([self._start.run_id, step.id, result.id, result.answer, result.choice]),
            question_to_people(step, request, result, self._start.environment),
            step_id=step.id,
            terms=ApprovalTerms(group=step.group, quorum=step.quorum, expires_s=step.expires_s),
        )
        self._teller.waiting(step.id, f"no consensus: {result.reason}; waits for approval")
        with self._parking.durable(step.id):
            approval = await self._desk.decide(question)
        return decided_by_people(request, result, approval, untrusted=untrusted)


def _options(request: PanelRequest) -> ActivityConfig:
    turns = {PanelMethod.DEBATE: 1 + request.rounds, PanelMethod.RUBRIC: 2}.get(request.method, 1)
    time = seconds(turns * request.voice_timeout_s + _AROUND_THE_VOICES_S)
    return {**options.think(f"panel: {request.question}"), "start_to_close_timeout": time}


def _called(step: PanelStep, result: PanelResult, voice: VoiceAnswer) -> NewEvent:
    """The same key however often it is told: a voice has one event in a panel."""
    data = voice.model_dump(mode="json", exclude={"role", "confidence", "weight"}, exclude_defaults=True)
    return NewEvent(
        key=f"{result.id}:{voice.voice}",
        type=EventType.MODEL_CALLED,
        step_id=step.id,
        data={"task": "panel", "panel_id": result.id, "cost_usd": 0.0, **data, "agrees": voice.agrees},
    )
