"""What a run taught, written down by a model and checked against the run: a lesson without evidence is dropped."""

from collections.abc import Mapping

from holdfast.llm.assembly import outcomes_text
from holdfast.llm.drafts import LessonDraft, LessonsDraft
from holdfast.llm.fences import FENCE_RULES
from holdfast.llm.ports import Model
from holdfast.llm.structured import Form, ask_for
from holdfast.llm.templates import messages_from
from schemas.models import ChatRequest, Errand, TaskClass
from schemas.runs import StepOutcome
from schemas.stages import LearnRequest

_MOST = 5


class LessonWriter:
    def __init__(self, *, model: Model) -> None:
        self._model = model

    async def lessons(self, request: LearnRequest) -> tuple[tuple[LessonDraft, ...], float]:
        """At most a few lessons, each with the steps that show it; and what asking cost."""
        key = request.scope.run_id
        steps = request.plan.steps if request.plan else ()
        values = {
            "goal": request.goal,
            "status": request.status.value,
            "progress": outcomes_text(steps, request.outcomes, key) or "Nothing was done.",
            "fence_rules": FENCE_RULES,
        }
        errand = Errand(
            tenant=request.scope.tenant, task=TaskClass.SUMMARISE, run_id=key, agent=request.scope.agent
        )
        answered = await ask_for(
            Form("lessons", LessonsDraft, lambda draft: draft),
            self._model,
            errand,
            ChatRequest(messages=messages_from("lessons", values), max_output_tokens=1500),
            repairs=1,
        )
        kept = tuple(lesson for lesson in answered.value.lessons if _is_shown(lesson, request.outcomes))
        return kept[:_MOST], answered.cost_usd


def _is_shown(lesson: LessonDraft, outcomes: Mapping[str, StepOutcome]) -> bool:
    """It says something to do, and names steps that did happen."""
    return bool(lesson.do or lesson.avoid) and bool(lesson.evidence) and set(lesson.evidence) <= set(outcomes)
