"""The second opinion: a model is asked about what the rules leave unclear, and may only choose between two answers.

Whatever goes wrong (too slow, malformed, refused, away) is an approval. The action's text is data to it. What it thinks
is kept in the store, and the next verdict reads it there: no other message can turn an approval into an allow.
"""

import asyncio
from typing import Protocol

from holdfast.errors import HoldfastError
from holdfast.guardian.reading import read_action
from holdfast.guardian.vocabulary import View
from schemas.actions import Action
from schemas.base import Digest
from schemas.canonical import digest_of
from schemas.stages import OpinionRequest
from schemas.verdicts import Opinion, Settler


class Judge(Protocol):
    """A model, or a panel of them. May raise HoldfastError or ValueError: that counts as asking people."""

    async def consider(self, view: View) -> Opinion: ...


class OpinionBook(Protocol):
    """Opinions by question, kept."""

    async def find(self, tenant: str, question: Digest, *, unusable: bool = False) -> Opinion | None:
        """A recent one; where there is none that can be used, and `unusable` is asked for, one that cannot."""
        ...

    async def keep(self, action: Action, question: Digest, opinion: Opinion) -> None: ...


class NoOpinions:
    """A book nobody has written in: verdicts then say who may settle them."""

    async def find(self, tenant: str, question: Digest, *, unusable: bool = False) -> Opinion | None:  # noqa: ARG002
        return None

    async def keep(self, action: Action, question: Digest, opinion: Opinion) -> None:
        """Nothing is kept."""


class SecondOpinions:
    """Asks a judge: bounded in time, never believed when it fails, asked once for the same facts."""

    def __init__(
        self,
        *,
        model: Judge | None,
        panel: Judge | None,
        book: OpinionBook,
        timeout_s: float = 8.0,
        panel_timeout_s: float = 30.0,
    ) -> None:
        self._judges: dict[Settler, tuple[Judge | None, float]] = {
            "model": (model, timeout_s),
            "panel": (panel, panel_timeout_s),
        }
        self._book = book

    async def give(self, request: OpinionRequest) -> Opinion:
        """Safe to repeat: a question that was answered is not asked again."""
        view, _ = read_action(request.request)
        question = question_digest(view, request.who)
        known = await self._book.find(view.action.tenant, question)
        if known is not None:
            return known.model_copy(update={"cost_usd": 0.0})
        opinion = await self._ask(view, *self._judges[request.who])
        await self._book.keep(view.action, question, opinion)
        return opinion

    async def _ask(self, view: View, judge: Judge | None, timeout_s: float) -> Opinion:
        if judge is None:
            return _none("no model is configured")
        try:
            async with asyncio.timeout(timeout_s):
                return await judge.consider(view)
        except TimeoutError:
            return _none(f"no answer within {timeout_s:g} s")
        except HoldfastError as error:
            return _none(error.code)
        except ValueError:
            return _none("an answer out of form")


def question_digest(view: View, who: Settler) -> Digest:
    """The same facts about the same call in the same place: one question."""
    action = view.action
    return digest_of(
        {
            "who": who,
            "tenant": action.tenant,
            "tool": f"{action.tool}@{action.tool_version}",
            "environment": action.environment,
            "agent": action.agent,
            "arguments": action.arguments,
            "facts": view.facts.model_dump(mode="json"),
        }
    )


def _none(why: str) -> Opinion:
    return Opinion(decision="require_approval", why=f"no usable answer: {why}", usable=False)
