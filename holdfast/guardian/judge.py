"""The second opinion: a model is asked about what the rules leave unclear, and may only choose between two answers.

Whatever goes wrong (too slow, malformed, refused, away) is an approval. The action's text is data to it.
"""

import asyncio
from collections import OrderedDict
from typing import Literal, Protocol

from holdfast.errors import HoldfastError
from holdfast.guardian.vocabulary import View
from schemas.base import Payload
from schemas.canonical import digest_of


class Opinion(Payload):
    """What a model thinks of one action."""

    decision: Literal["allow", "require_approval"]
    why: str = ""
    by: str = ""


class Judge(Protocol):
    """A model, or a panel of them. May raise HoldfastError or ValueError: that counts as asking people."""

    async def consider(self, view: View) -> Opinion: ...


class CautiousJudge:
    """Wraps a judge: bounded in time, never believed when it fails, asked once for the same facts."""

    def __init__(self, judge: Judge, *, timeout_s: float = 8.0, remembered: int = 4096) -> None:
        self._judge = judge
        self._timeout_s = timeout_s
        self._remembered = remembered
        self._opinions: OrderedDict[str, Opinion] = OrderedDict()

    async def consider(self, view: View) -> Opinion:
        key = question_digest(view)
        if key in self._opinions:
            self._opinions.move_to_end(key)
            return self._opinions[key]
        opinion = await self._ask(view)
        if opinion is None:
            return Opinion(decision="require_approval", why="the model judge gave no usable answer")
        self._opinions[key] = opinion
        if len(self._opinions) > self._remembered:
            self._opinions.popitem(last=False)
        return opinion

    async def _ask(self, view: View) -> Opinion | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._judge.consider(view)
        except (TimeoutError, HoldfastError, ValueError):
            return None


def question_digest(view: View) -> str:
    """The same facts about the same call in the same place: one question."""
    action = view.action
    return digest_of(
        {
            "tenant": action.tenant,
            "tool": f"{action.tool}@{action.tool_version}",
            "environment": action.environment,
            "agent": action.agent,
            "arguments": action.arguments,
            "facts": view.facts.model_dump(mode="json"),
        }
    )
