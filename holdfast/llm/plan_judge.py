"""A model as the reviewer of plans: what static checks cannot see, said as findings a planner can mend."""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.llm.assembly import inputs_text, plan_text, tools_text
from holdfast.llm.drafts import PlanReviewDraft
from holdfast.llm.fences import FENCE_RULES, fence
from holdfast.llm.ports import Model
from holdfast.llm.structured import Form, ask_for
from holdfast.llm.templates import messages_from
from schemas.chat import ChatRequest, TaskClass
from schemas.plans import Finding, Plan
from schemas.routing import Errand
from schemas.stages import PlanRequest


@dataclass(frozen=True)
class PlanReview:
    score: float
    findings: tuple[Finding, ...]
    by: str
    spend_usd: float

    @property
    def fatal(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.fatal)

    @property
    def told(self) -> str:
        said = f": {listed(self.findings)}" if self.findings else ""
        return f"Reviewed by {self.by}, score {self.score:.2f}{said}."


def listed(findings: Sequence[Finding]) -> str:
    return "; ".join(f"{each.step or 'the plan'}: {each.message}" for each in findings)


class PlanJudge:
    def __init__(self, *, model: Model) -> None:
        self._model = model

    async def review(self, request: PlanRequest, plan: Plan) -> PlanReview:
        names = {step.id for step in plan.steps}

        def read(draft: PlanReviewDraft) -> PlanReviewDraft:
            unknown = sorted({each.step for each in draft.findings if each.step} - names)
            if unknown:
                raise ValueError(f"findings name steps that are not in the plan: {', '.join(unknown)}")
            return draft

        errand = Errand(
            tenant=request.scope.tenant,
            task=TaskClass.JUDGE,
            run_id=request.scope.run_id,
            agent=request.scope.agent,
            run_limit_usd=request.agent.limits.spend_usd,
        )
        chat = ChatRequest(
            messages=messages_from("judge_plan", _values(request, plan), own=request.agent.prompts)
        )
        answered = await ask_for(Form("review", PlanReviewDraft, read), self._model, errand, chat)
        review = answered.value
        return PlanReview(
            score=review.score, findings=tuple(review.findings), by=answered.by, spend_usd=answered.cost_usd
        )


def _values(request: PlanRequest, plan: Plan) -> dict[str, str]:
    key = request.scope.run_id
    return {
        "environment": request.scope.environment,
        "tools": tools_text(request.catalogue, key),
        "goal": request.goal,
        "inputs": inputs_text(request.inputs, key),
        "plan": fence(plan_text(plan), label="the plan under review", key=key),
        "fence_rules": FENCE_RULES,
    }
