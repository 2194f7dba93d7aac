"""The stages around the plan: what is recalled before it, the answer after it, what it taught."""

from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import FailureError

from activities.remember import RememberActivities
from activities.think import ThinkActivities
from holdfast.plan.progress import Progress
from holdfast.runtime.failures import cause_of
from schemas.events import EventType, NewEvent
from schemas.runs import RunInput, RunStatus
from schemas.stages import Answer, AnswerRequest, LearnRequest, RecallRequest, Recollection
from workflows import options
from workflows.gate import stop_if_cancelled
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
        recalled = await self._ask(self._request())
        if workflow.info().continued_run_id is None and (recalled.items or recalled.note):
            await self._teller.mention(self._told(recalled))
        return recalled

    async def recall_after(self, failed: list[str], recalled: Recollection) -> Recollection:
        """What else is known of these failures: of the tools that failed, of what they ran, and of how they did."""
        steps = self._progress.plan.steps if self._progress.plan else ()
        calls = [step for step in steps if step.kind == "tool" and step.id in failed]
        errors = [outcome.error.code for name in failed if (outcome := self._progress.outcomes[name]).error]
        request = self._request().model_copy(
            update={
                "tools": tuple(dict.fromkeys(step.tool for step in calls)),
                "error": errors[0] if errors else "",
                "calls": tuple(step.arguments for step in calls),
            }
        )
        more = await self._ask(request)
        if more.items or more.note:
            await self._teller.tell(self._told(more))
        known = {item.cite for item in recalled.items}
        items = (*recalled.items, *(item for item in more.items if item.cite not in known))
        return Recollection(items=items, note=recalled.note or more.note)

    def _request(self) -> RecallRequest:
        alert = self._start.labels.get("alert") or self._progress.inputs.get("alert") or ""
        return RecallRequest(
            scope=self._teller.scope,
            goal=self._start.goal,
            runbook=self._start.runbook,
            thread=self._start.thread,
            alert=str(alert)[:300],
            labels=self._start.labels,
        )

    async def _ask(self, request: RecallRequest) -> Recollection:
        try:
            recalled: Recollection = await workflow.execute_local_activity_method(
                RememberActivities.recall, request, **options.remember("what is known of this")
            )
        except FailureError as error:
            stop_if_cancelled()
            return Recollection(note=f"nothing could be recalled: {cause_of(error).message}")
        return recalled

    def _told(self, recalled: Recollection) -> NewEvent:
        cites = [{**item.cite.model_dump(mode="json"), "why": item.why} for item in recalled.items]
        return self._teller.event(EventType.MEMORY_RECALLED, {"items": cites, "note": recalled.note})

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
            ThinkActivities.answer, request, **options.think(f"answer: {request.goal}")
        )
        self._progress.spend_usd += answer.spend_usd
        return answer.text

    async def learn(self, status: RunStatus, answer: str) -> list[NewEvent]:
        """What the run taught, as it is to be told. Its failure never fails the run."""
        if self._progress.plan is None or self._start.parent is not None or self._only_asked():
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
        with suppress(FailureError):
            learned = await workflow.execute_local_activity_method(
                RememberActivities.learn, request, **options.remember("what this run taught")
            )
            if learned.items:
                return [self._teller.event(EventType.MEMORY_LEARNED, {"items": list(learned.items)})]
        return []

    def _only_asked(self) -> bool:
        """A question to a panel has touched nothing: there is nothing to do better the next time."""
        steps = self._progress.plan.steps if self._progress.plan else ()
        return bool(steps) and all(step.kind == "panel" for step in steps)
