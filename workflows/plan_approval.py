"""The whole plan before people: what they read, the terms they answer on, and what their yes spares its steps."""

import asyncio

from temporalio import workflow

from activities.guard import GuardActivities
from holdfast.guardian.planned import entries_of_plan, reasons_of
from holdfast.plan.progress import Progress
from schemas.approvals import Approval, ApprovalStatus, ApprovalSubject, ApprovalSummary
from schemas.canonical import digest_of
from schemas.plans import Plan
from schemas.runs import RunInput, RunState, RunStatus
from schemas.stages import AskRequest, OutlookRequest, PlanOutlook
from schemas.tools import Catalogue
from workflows import options
from workflows.asking import asked
from workflows.desk import Desk
from workflows.executor import RollOver
from workflows.gate import until_cancelled
from workflows.stopping import RunStopped
from workflows.teller import Teller, history_is_long


class PlanApproval:
    def __init__(self, *, start: RunInput, progress: Progress, teller: Teller, desk: Desk) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller
        self._desk = desk

    async def given(self, plan: Plan) -> None:
        """Before its first step. Raises RunStopped where it is not given, and RollOver where history is long meanwhile."""
        self._teller.proposes(plan)
        outlook = await asked(_outlook, self._request(plan), self._start.catalogue)
        approval = await self._decided(plan, self._question(plan, outlook))
        if approval.status is not ApprovalStatus.APPROVED:
            raise RunStopped(RunStatus.REJECTED, f"the plan was not approved: {approval.status.value}")

    async def _decided(self, plan: Plan, question: AskRequest) -> Approval:
        deciding = asyncio.create_task(self._desk.decide(question))
        try:
            await workflow.wait_condition(lambda: deciding.done() or history_is_long())
        except asyncio.CancelledError:
            await _dropped(deciding)
            raise
        if not deciding.done():
            await _dropped(deciding)
            self._progress.plan = (
                plan  # this one is asked about on the other side, and no other is thought of
            )
            raise RollOver
        return deciding.result()

    def _question(self, plan: Plan, outlook: PlanOutlook) -> AskRequest:
        digest = digest_of([plan.model_dump(mode="json"), self._progress.generation])
        summary = ApprovalSummary(
            what=f"the plan of {len(plan.steps)} steps for: {self._start.goal}"[:200],
            where=self._start.environment,
            why=plan.rationale,
            detail="\n".join(f"{step.id}: {step.title or step.kind}" for step in plan.steps[:200]),
            reasons=reasons_of(outlook),
        )
        question = self._desk.question(ApprovalSubject.PLAN, digest, summary, terms=outlook.terms)
        known = {"inputs": self._progress.inputs, "run": {"id": self._start.run_id}}
        entries = entries_of_plan(plan, environment=self._start.environment, known=known)
        return question.model_copy(update={"entries": entries})

    def _request(self, plan: Plan) -> OutlookRequest:
        run = self._start.model_copy(
            update={
                "catalogue": Catalogue(),
                "models": None,
                "delegates": {},
                "inputs": self._progress.inputs,
                "state": RunState(outcomes=self._progress.outcomes),
            }
        )
        return OutlookRequest(
            scope=self._teller.scope,
            run=run,
            plan=plan,
            catalogue_digest=self._start.catalogue.digest,
        )


async def _dropped(deciding: asyncio.Task[Approval]) -> None:
    deciding.cancel()
    await until_cancelled(deciding)


async def _outlook(request: OutlookRequest) -> PlanOutlook:
    return await workflow.execute_local_activity_method(
        GuardActivities.outlook, request, **options.local("what approving the plan would permit")
    )
