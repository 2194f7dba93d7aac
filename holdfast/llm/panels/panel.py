"""Convenes a panel: asks the voices side by side, goes on while enough of them live, counts, and says what dissents."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from holdfast.errors import BudgetExhausted, HoldfastError
from holdfast.llm.panels.agreement import count_agreement
from holdfast.llm.panels.analytics import weight_of, weights_from
from holdfast.llm.panels.asking import answer_form, question_to, rank_form, ranking_by
from holdfast.llm.panels.ballot import Ballot, Tally, no_result
from holdfast.llm.panels.rubric import count_ranks, shown_to
from holdfast.llm.panels.votes import count_votes
from holdfast.llm.ports import Model
from holdfast.llm.structured import Answered, Form, ask_for
from schemas.base import RunId
from schemas.models import ChatRequest, Errand, TaskClass, TrackRecord
from schemas.panels import PanelMethod, PanelRequest, PanelResult, Voice, VoiceAnswer

Embed = Callable[[str, Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
Value = TypeVar("Value")


class PanelBook(Protocol):
    """What panels said, kept."""

    async def keep(self, result: PanelResult) -> None: ...

    async def reliability(self, tenant: str) -> Sequence[TrackRecord]:
        """For each deployment, how often it stood with consensus."""
        ...


@dataclass(frozen=True)
class Occasion:
    """On whose behalf a panel sits."""

    tenant: str
    run_id: RunId | None = None
    step_id: str | None = None
    agent: str | None = None
    run_limit_usd: float | None = None

    def errand(self, voice: Voice) -> Errand:
        return Errand(
            tenant=self.tenant,
            task=TaskClass.PANEL,
            run_id=self.run_id,
            step_id=self.step_id,
            agent=self.agent,
            only=voice.deployment,
            run_limit_usd=self.run_limit_usd,
        )


class Panel:
    def __init__(
        self, *, model: Model, book: PanelBook, new_panel_id: Callable[[], str], embed: Embed | None = None
    ) -> None:
        self._model = model
        self._book = book
        self._new_panel_id = new_panel_id
        self._embed = embed

    async def convene(self, occasion: Occasion, request: PanelRequest) -> PanelResult:
        """Never fails for want of voices: then the result says that a human has to decide."""
        sitting = _Sitting(occasion, request, self._new_panel_id(), self._model)
        started = time.perf_counter()
        if request.method is PanelMethod.WEIGHTED:
            sitting.weights = weights_from(await self._book.reliability(occasion.tenant))
        await sitting.ask_all()
        tally = await self._counted(sitting)
        result = sitting.result(tally, latency_ms=round((time.perf_counter() - started) * 1000, 1))
        await self._book.keep(result)
        return result

    async def _counted(self, sitting: "_Sitting") -> Tally:
        request = sitting.request
        if len(sitting.ballots) < request.live_floor:
            return no_result(
                f"{len(sitting.ballots)} of {len(request.voices)} voices answered; {request.live_floor} must"
            )
        if request.method is PanelMethod.RUBRIC:
            return count_ranks(sitting.live, await sitting.ranks())
        if request.method is PanelMethod.DEBATE:
            return await self._debated(sitting)
        return await self._tally(sitting)

    async def _debated(self, sitting: "_Sitting") -> Tally:
        """Ends when all agree, or when the rounds are used up."""
        tally = await self._tally(sitting)
        while tally.score < 1 and sitting.rounds < sitting.request.rounds + 1:
            await sitting.ask_again()
            tally = await self._tally(sitting)
        return tally

    async def _tally(self, sitting: "_Sitting") -> Tally:
        if sitting.request.choices:
            return count_votes(sitting.live)
        vectors: dict[str, Sequence[float]] = {}
        if self._embed:
            live = sitting.live
            found = await self._embed(sitting.occasion.tenant, [ballot.text for ballot in live])
            vectors = {ballot.voice: vector for ballot, vector in zip(live, found, strict=True)}
        return count_agreement(sitting.live, vectors)


class _Sitting:
    """One panel while it sits: who still lives, what each said last, and what it cost."""

    def __init__(self, occasion: Occasion, request: PanelRequest, panel_id: str, model: Model) -> None:
        self.occasion = occasion
        self.request = request
        self.ballots: dict[str, Ballot] = {}
        self.weights: Mapping[str, float] | None = None
        self.rounds = 0
        self._id = panel_id
        self._model = model
        self._answers = {
            voice.name: VoiceAnswer(voice=voice.name, deployment=voice.deployment, state="failed")
            for voice in request.voices
        }
        self._refused: list[BudgetExhausted] = []

    @property
    def live(self) -> list[Ballot]:
        return list(self.ballots.values())

    async def ask_all(self) -> None:
        self.rounds = 1
        await asyncio.gather(*(self._ask(voice, ()) for voice in self.request.voices))
        if self._refused and not self.ballots:
            raise self._refused[0]

    async def ask_again(self) -> None:
        """Everybody sees what the others said in the round before, never what they say in this one."""
        self.rounds += 1
        before = dict(self.ballots)
        await asyncio.gather(
            *(
                self._ask(voice, [ballot.text for name, ballot in before.items() if name != voice.name])
                for voice in self.request.voices
                if voice.name in before
            )
        )

    async def ranks(self) -> dict[str, dict[str, float]]:
        """What each live voice thinks of the others; one that cannot judge keeps its answer in the race."""
        judges = [voice for voice in self.request.voices if voice.name in self.ballots]
        found = await asyncio.gather(*(self._rank(voice) for voice in judges))
        return {voice.name: scores for voice, scores in zip(judges, found, strict=True) if scores}

    async def _rank(self, voice: Voice) -> dict[str, float] | None:
        shown = shown_to(voice.name, self.live, key=self._id)
        if not shown:
            return None
        chat = ranking_by(self.request, shown, key=self._id)
        answered = await self._heard(voice, rank_form(self.request, shown), chat)
        return answered.value if answered else None

    async def _ask(self, voice: Voice, others: Sequence[str]) -> None:
        chat = question_to(voice, self.request, others, key=self._id)
        answered = await self._heard(voice, answer_form(self.request), chat)
        if answered is None:
            return  # what it said in an earlier round, if anything, stands
        said = answered.value
        weight = weight_of(voice.deployment, self.weights) if self.weights is not None else 1.0
        self.ballots[voice.name] = Ballot(
            voice=voice.name, text=said.answer, choice=said.choice, confidence=said.confidence, weight=weight
        )
        self._note(
            voice,
            state="answered",
            text=said.answer,
            choice=said.choice,
            confidence=said.confidence,
            weight=weight,
        )

    async def _heard(self, voice: Voice, form: Form[Any, Value], chat: ChatRequest) -> Answered[Value] | None:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self.request.timeout_s):
                answered = await ask_for(form, self._model, self.occasion.errand(voice), chat, repairs=1)
        except TimeoutError:
            self._failed(voice, "late", f"no answer within {self.request.timeout_s:g} s")
            return None
        except HoldfastError as error:
            if isinstance(error, BudgetExhausted):
                self._refused.append(error)
            self._failed(voice, "late" if error.code == "model_timed_out" else "failed", error.message)
            return None
        kept = self._answers[voice.name]
        took = kept.latency_ms + (time.perf_counter() - started) * 1000
        self._note(voice, cost_usd=kept.cost_usd + answered.cost_usd, latency_ms=round(took, 1))
        return answered

    def _failed(self, voice: Voice, state: str, error: str) -> None:
        self._note(voice, error=error[:500], **({} if voice.name in self.ballots else {"state": state}))

    def _note(self, voice: Voice, **changes: object) -> None:
        self._answers[voice.name] = self._answers[voice.name].model_copy(update=changes)

    def result(self, tally: Tally, *, latency_ms: float) -> PanelResult:
        winner = self.ballots.get(tally.winner or "")
        weak = f"consensus is {tally.score:.2f}, below {self.request.threshold:.2f}"
        reason = tally.reason or (weak if tally.score < self.request.threshold else "")
        voices = [
            answer.model_copy(update={"agrees": name in tally.agreeing})
            for name, answer in self._answers.items()
        ]
        return PanelResult(
            id=self._id,
            tenant=self.occasion.tenant,
            run_id=self.occasion.run_id,
            step_id=self.occasion.step_id,
            question=self.request.question,
            method=self.request.method,
            answer=winner.text if winner else "",
            choice=winner.choice if winner else None,
            score=tally.score,
            breakdown=dict(tally.breakdown),
            voices=tuple(voices),
            dissent=tuple(each.text for name, each in self.ballots.items() if name not in tally.agreeing),
            rounds=self.rounds,
            live=len(self.ballots),
            escalate=bool(reason),
            reason=reason,
            cost_usd=sum(voice.cost_usd for voice in voices),
            latency_ms=latency_ms,
        )
