"""What a run taught, written down by a model and checked against the run: a lesson without evidence is dropped."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from holdfast.llm.assembly import outcomes_text
from holdfast.llm.drafts import LessonDraft, LessonsDraft
from holdfast.llm.fences import FENCE_RULES
from holdfast.llm.ports import Model
from holdfast.llm.structured import Form, ask_for
from holdfast.llm.templates import messages_from
from holdfast.memory.signatures import goal_kind
from schemas.chat import ChatRequest, TaskClass
from schemas.memory import (
    MemoryContent,
    MemoryItem,
    MemoryKind,
    MemoryStatus,
    Provenance,
    Signature,
    Trust,
)
from schemas.plans import StepState
from schemas.routing import Errand
from schemas.runs import RunStatus, StepOutcome
from schemas.stages import Learned, LearnRequest

_MOST = 5
_WRITER = "model"


class LessonShelf(Protocol):
    """Memory, as far as lessons need it."""

    async def items(
        self, tenant: str, *, kind: MemoryKind | None = None, run_id: str | None = None
    ) -> Sequence[MemoryItem]: ...

    async def put(self, tenant: str, content: MemoryContent, provenance: Provenance) -> MemoryItem: ...


def may_teach(request: LearnRequest) -> bool:
    """Whether asking a model is worth its price: something did not go as planned. What went well at once is an episode
    already, and rules have drawn what the ledger alone can show."""
    smooth = all(
        outcome.attempts <= 1 and outcome.state in (StepState.SUCCEEDED, StepState.SKIPPED)
        for outcome in request.outcomes.values()
    )
    return bool(request.outcomes) and not (smooth and request.status is RunStatus.SUCCEEDED)


class LessonWriter:
    """Writes what a model makes of a run beside what rules drew from it."""

    def __init__(self, *, model: Model, shelf: LessonShelf, status: MemoryStatus) -> None:
        self._model = model
        self._shelf = shelf
        self._status = status

    async def learn(self, request: LearnRequest) -> Learned:
        """Safe to repeat: a run about which a model has written is left alone."""
        tenant, run_id = request.scope.tenant, request.scope.run_id
        known = await self._shelf.items(tenant, kind=MemoryKind.LESSON, run_id=run_id)
        if written := [item for item in known if item.content.data.get("written_by") == _WRITER]:
            return Learned(items=tuple(item.id for item in written))
        drafts, by = await self._drafts(request)
        items = [await self._kept(request, draft, by) for draft in drafts]
        return Learned(items=tuple(item.id for item in items))

    async def _drafts(self, request: LearnRequest) -> tuple[Sequence[LessonDraft], str]:
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
        chat = ChatRequest(messages=messages_from("lessons", values), max_output_tokens=1500)
        form = Form("lessons", LessonsDraft, lambda draft: draft)
        answered = await ask_for(form, self._model, errand, chat, repairs=1)
        kept = [lesson for lesson in answered.value.lessons if _is_shown(lesson, request.outcomes)]
        return kept[:_MOST], answered.by

    async def _kept(self, request: LearnRequest, draft: LessonDraft, by: str) -> MemoryItem:
        # Whoever wrote it has read every step, whichever it names: text from outside may have chosen its words.
        tainted = any(outcome.untrusted for outcome in request.outcomes.values())
        content = MemoryContent(
            kind=MemoryKind.LESSON,
            status=MemoryStatus.PROPOSED if tainted else self._status,
            text=_text_of(draft),
            data={"written_by": _WRITER, "steps": draft.evidence, "goal": request.goal[:400]},
            signature=Signature(goal_kind=goal_kind(request.goal)),
            trust=Trust.MODEL,
            tainted=tainted,
            confidence=min(0.8, draft.confidence),
            importance=0.6,
        )
        where = Provenance(author=by, run_id=request.scope.run_id, step_id=draft.evidence[0])
        return await self._shelf.put(request.scope.tenant, content, where)


def _is_shown(lesson: LessonDraft, outcomes: Mapping[str, StepOutcome]) -> bool:
    """It says something to do, and names steps that did happen."""
    return bool(lesson.do or lesson.avoid) and bool(lesson.evidence) and set(lesson.evidence) <= set(outcomes)


def _text_of(draft: LessonDraft) -> str:
    parts = [f"When {draft.when}:", draft.do, f"Avoid: {draft.avoid}" if draft.avoid else ""]
    return " ".join(part for part in parts if part)[:2000]
