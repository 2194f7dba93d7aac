"""The stages around the plan: what is recalled before it, the answer after it, what it taught."""

from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.remember import RememberActivities
from activities.think import ThinkActivities
from holdfast.plan.progress import Progress
from schemas.events import EventType, NewEvent
from schemas.runs import RunInput, RunStatus
from schemas.stages import Answer, AnswerRequest, LearnRequest, RecallRequest, Recollection
from workflows import options
from workflows.teller import Teller


class Stages:
    def __init__(self, *, start: RunInput, progress: Progress, teller: Teller) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller

    async def recall(self) -> Recollection:
        """What is known already, for whoever plans. A run can do without: an outage is noted, and stops nothing."""
        if self._progress.plan is not None and self._start.mode != "react":
            return Recollection()
        request = RecallRequest(
            scope=self._teller.scope,
            goal=self._start.goal,
            runbook=self._start.runbook,
            thread=self._start.thread,
        )
        try:
            recalled: Recollection = await workflow.execute_activity_method(
                RememberActivities.recall, request, **options.REMEMBER
            )
        except ActivityError as error:
            return Recollection(note=f"nothing could be recalled: {error.cause or error}")
        if (recalled.items or recalled.note) and workflow.info().continued_run_id is None:
            cites = [{**item.cite.model_dump(mode="json"), "why": item.why} for item in recalled.items]
            await self._teller.tell(
                self._teller.event(EventType.MEMORY_RECALLED, {"items": cites, "note": recalled.note})
            )
        return recalled

    async def answer(self) -> str:
        if self._progress.plan is None:
            return ""
        request = AnswerRequest(
            scope=self._teller.scope,
            goal=self._start.goal,
            agent=self._start.agent,
            plan=self._progress.plan,
            outcomes=self._progress.outcomes,
            inputs=self._progress.inputs,
        )
        answer: Answer = await workflow.execute_activity_method(
            ThinkActivities.answer, request, **options.THINK
        )
        self._progress.spend_usd += answer.spend_usd
        return answer.text

    async def learn(self, status: RunStatus, answer: str) -> list[NewEvent]:
        """What the run taught, as it is to be told. Its failure never fails the run."""
        if self._progress.plan is None or self._start.parent is not None:
            return []
        request = LearnRequest(
            scope=self._teller.scope,
            goal=self._start.goal,
            status=status,
            plan=self._progress.plan,
            outcomes=self._progress.outcomes,
            answer=answer,
            thread=self._start.thread,
        )
        with suppress(ActivityError):
            learned = await workflow.execute_activity_method(
                RememberActivities.learn, request, **options.REMEMBER
            )
            if learned.items:
                return [self._teller.event(EventType.MEMORY_LEARNED, {"items": list(learned.items)})]
        return []
