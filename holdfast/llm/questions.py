"""Questions that passages answer, thought of by a model: operators ask in words that runbooks do not use."""

from collections.abc import Sequence

from pydantic import Field

from holdfast.llm.drafts import Draft
from holdfast.llm.fences import FENCE_RULES, fence
from holdfast.llm.ports import Model
from holdfast.llm.structured import Form, ask_for
from holdfast.llm.templates import messages_from
from schemas.chat import ChatRequest, TaskClass
from schemas.routing import Errand

_AT_ONCE = 8
_CHARS = 2_000
_MOST, _LONGEST = 3, 300


class QuestionsDraft(Draft):
    questions: list[list[str]] = Field(default=[], description="One list for each passage, in order.")


class ModelQuestionWriter:
    """Fulfils `holdfast.knowledge.ports.QuestionWriter`."""

    def __init__(self, *, model: Model) -> None:
        self._model = model

    async def questions(self, tenant: str, title: str, passages: Sequence[str]) -> Sequence[Sequence[str]]:
        found: list[Sequence[str]] = []
        for first in range(0, len(passages), _AT_ONCE):
            found.extend(await self._of(tenant, title, passages[first : first + _AT_ONCE]))
        return found

    async def _of(self, tenant: str, title: str, passages: Sequence[str]) -> list[Sequence[str]]:
        shown = [
            f"Passage {at}:\n{fence(text[:_CHARS], label='a passage', key=title)}"
            for at, text in enumerate(passages, 1)
        ]
        values = {"title": title[:300], "passages": "\n\n".join(shown), "fence_rules": FENCE_RULES}
        chat = ChatRequest(messages=messages_from("questions", values), max_output_tokens=1500)
        errand = Errand(tenant=tenant, task=TaskClass.SUMMARISE)
        form = Form("questions", QuestionsDraft, lambda draft: _matched(draft, len(passages)))
        return (await ask_for(form, self._model, errand, chat, repairs=1)).value


def _matched(draft: QuestionsDraft, passages: int) -> list[Sequence[str]]:
    if len(draft.questions) != passages:
        raise ValueError(f"questions: {passages} lists are wanted, one for each passage")
    return [[each.strip()[:_LONGEST] for each in asked if each.strip()][:_MOST] for asked in draft.questions]
