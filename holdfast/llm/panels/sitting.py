"""One panel while it sits: who still lives, what each said last, and what it cost."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from holdfast.errors import HoldfastError
from holdfast.llm.failures import ModelTimedOut
from holdfast.llm.panels.analytics import weight_of
from holdfast.llm.panels.asking import answer_form, question_to, rank_form, ranking_by
from holdfast.llm.panels.ballot import Ballot
from holdfast.llm.panels.ports import Notes, Said
from holdfast.llm.panels.purse import Metered, Purse
from holdfast.llm.panels.rubric import shown_to
from holdfast.llm.panels.seats import Seat
from holdfast.llm.ports import Model
from holdfast.llm.structured import Form, ask_for, json_in
from schemas.base import RunId
from schemas.chat import ChatRequest, TaskClass
from schemas.panels import PanelRequest, VoiceAnswer
from schemas.routing import Errand

Value = TypeVar("Value")


@dataclass(frozen=True)
class Occasion:
    """On whose behalf a panel sits. A panel that has a name of its own sits once under it."""

    tenant: str
    run_id: RunId | None = None
    step_id: str | None = None
    agent: str | None = None
    run_limit_usd: float | None = None
    panel_id: str | None = None

    def errand(self, deployment: str) -> Errand:
        return Errand(
            tenant=self.tenant,
            task=TaskClass.PANEL,
            run_id=self.run_id,
            step_id=self.step_id,
            agent=self.agent,
            only=deployment,
            run_limit_usd=self.run_limit_usd,
        )


class Sitting:
    def __init__(
        self,
        occasion: Occasion,
        request: PanelRequest,
        seats: Sequence[Seat],
        *,
        panel_id: str,
        model: Model,
        notes: Notes,
        spent_usd: float = 0,
    ) -> None:
        self.occasion = occasion
        self.request = request
        self.panel_id = panel_id
        self.ballots: dict[str, Ballot] = {}
        self.weights: Mapping[str, float] | None = None
        self.rounds = 0
        self._seats = [seat for seat in seats if not seat.problem]
        self._notes = notes
        purse = Purse(limit_usd=request.budget_usd, spent_usd=spent_usd)
        self._models = {seat.name: Metered(model, purse, price=seat.price) for seat in self._seats}
        self._answers = {seat.name: _silent(seat) for seat in seats}

    @property
    def live(self) -> list[Ballot]:
        return list(self.ballots.values())

    async def ask_all(self) -> None:
        self.rounds = 1
        await asyncio.gather(*(self._ask(seat, ()) for seat in self._seats))

    async def ask_again(self) -> None:
        """Everybody sees what the others said in the round before, never what they say in this one."""
        self.rounds += 1
        before = dict(self.ballots)
        await asyncio.gather(
            *(
                self._ask(seat, [ballot.text for name, ballot in before.items() if name != seat.name])
                for seat in self._seats
                if seat.name in before
            )
        )

    async def ranks(self) -> dict[str, dict[str, float]]:
        """What each live voice thinks of the others; one that cannot judge keeps its answer in the race."""
        judges = [seat for seat in self._seats if seat.name in self.ballots]
        found = await asyncio.gather(*(self._rank(seat) for seat in judges))
        return {seat.name: scores for seat, scores in zip(judges, found, strict=True) if scores}

    def answers(self, agreeing: Iterable[str]) -> tuple[VoiceAnswer, ...]:
        stands = frozenset(agreeing)
        return tuple(
            self._closed(name, answer, agrees=name in stands) for name, answer in self._answers.items()
        )

    def _closed(self, name: str, answer: VoiceAnswer, *, agrees: bool) -> VoiceAnswer:
        """Its costs with those of calls that failed; what was heard before a crash is in the answer already."""
        spent = self._models[name].spent_usd if name in self._models else 0.0
        return answer.model_copy(update={"agrees": agrees, "cost_usd": round(answer.cost_usd + spent, 9)})

    async def _rank(self, seat: Seat) -> dict[str, float] | None:
        shown = shown_to(seat.name, self.live, key=self.panel_id)
        if not shown:
            return None
        chat = ranking_by(self.request, shown, key=self.panel_id)
        return await self._heard(seat, rank_form(self.request, shown), chat)

    async def _ask(self, seat: Seat, others: Sequence[str]) -> None:
        chat = question_to(seat, self.request, others, key=self.panel_id)
        said = await self._heard(seat, answer_form(self.request), chat)
        if said is None:
            return  # what it said in an earlier round, if anything, stands
        weight = weight_of(seat.deployment, self.weights) if self.weights is not None else 1.0
        self.ballots[seat.name] = Ballot(
            voice=seat.name, text=said.answer, choice=said.choice, confidence=said.confidence, weight=weight
        )
        self._note(
            seat.name,
            state="answered",
            text=said.answer,
            choice=said.choice,
            confidence=said.confidence,
            weight=weight,
        )

    async def _heard(self, seat: Seat, form: Form[Any, Value], chat: ChatRequest) -> Value | None:
        """What the voice says in this turn; None where it says nothing that can be used."""
        turn = f"{seat.name}/{self.rounds}/{form.name}"
        before = self._notes.find(turn)
        if before is not None:
            self._took(seat.name, before.latency_ms, before.cost_usd)
            return form.read(form.shape.model_validate(json_in(before.text)))
        started, meter = time.perf_counter(), self._models[seat.name]
        spent = meter.spent_usd
        try:
            async with asyncio.timeout(self.request.voice_timeout_s):
                answered = await ask_for(form, meter, self.occasion.errand(seat.deployment), chat, repairs=1)
        except TimeoutError:
            self._failed(seat.name, "late", f"no answer within {self.request.voice_timeout_s:g} s")
            return None
        except HoldfastError as error:
            self._failed(seat.name, "late" if isinstance(error, ModelTimedOut) else "failed", error.message)
            return None
        finally:
            took = (time.perf_counter() - started) * 1000
            self._took(seat.name, took)
        await self._notes.keep(Said(turn, answered.reply.text, meter.spent_usd - spent, took))
        return answered.value

    def _took(self, name: str, latency_ms: float, cost_usd: float = 0) -> None:
        answer = self._answers[name]
        self._note(
            name, latency_ms=round(answer.latency_ms + latency_ms, 1), cost_usd=answer.cost_usd + cost_usd
        )

    def _failed(self, name: str, state: str, error: str) -> None:
        self._note(name, error=error[:500], **({} if name in self.ballots else {"state": state}))

    def _note(self, name: str, **changes: object) -> None:
        self._answers[name] = self._answers[name].model_copy(update=changes)


def _silent(seat: Seat) -> VoiceAnswer:
    return VoiceAnswer(
        voice=seat.name, deployment=seat.deployment, role=seat.role, state="failed", error=seat.problem
    )
