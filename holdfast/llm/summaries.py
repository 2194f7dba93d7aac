"""Makes an observation fit: by trimming where that is enough, by a model where the middle matters."""

from holdfast.llm.fences import FENCE_RULES, fence
from holdfast.llm.ports import Model
from holdfast.llm.templates import messages_from
from holdfast.llm.tokens import estimate_tokens
from holdfast.llm.trimming import trimmed
from schemas.chat import ChatRequest, TaskClass
from schemas.routing import Errand
from schemas.stages import RunScope

_PART_TOKENS = 24_000
_WORDS_PER_TOKEN = 0.6


class Summariser:
    def __init__(self, *, model: Model) -> None:
        self._model = model

    async def fit(self, scope: RunScope, goal: str, text: str, *, tokens: int) -> tuple[str, float]:
        """The text in about this many tokens, and what that cost. Very long texts are summarised part by part, and
        what a model writes too long is trimmed: the size is a promise."""
        if estimate_tokens(text) <= tokens:
            return text, 0.0
        parts = _parts(text, _PART_TOKENS)
        share = max(64, tokens // len(parts))
        written, spent = [], 0.0
        for part in parts:
            reply_text, cost = await self._summary(scope, goal, part, share)
            written.append(trimmed(reply_text, share))
            spent += cost
        return trimmed("\n".join(written), tokens), spent

    async def _summary(self, scope: RunScope, goal: str, text: str, tokens: int) -> tuple[str, float]:
        values = {
            "goal": goal,
            "observation": fence(text, label="observation", key=scope.run_id),
            "words": str(int(tokens * _WORDS_PER_TOKEN)),
            "fence_rules": FENCE_RULES,
        }
        errand = Errand(tenant=scope.tenant, task=TaskClass.SUMMARISE, run_id=scope.run_id, agent=scope.agent)
        request = ChatRequest(messages=messages_from("summarise", values), max_output_tokens=max(256, tokens))
        reply = await self._model.chat(errand, request)
        return reply.text, reply.cost_usd


def _parts(text: str, tokens: int) -> list[str]:
    size = int(tokens * 3)
    return [text[start : start + size] for start in range(0, len(text), size)]
