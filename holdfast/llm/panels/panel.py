"""Convenes a panel: asks the voices side by side, goes on while enough of them live, counts, and says what dissents."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from holdfast.errors import HoldfastError
from holdfast.llm.keeping import Keeping
from holdfast.llm.panels.agreement import count_agreement
from holdfast.llm.panels.analytics import weights_from
from holdfast.llm.panels.ballot import Ballot, Tally, no_result
from holdfast.llm.panels.ports import Said
from holdfast.llm.panels.rubric import count_ranks
from holdfast.llm.panels.seats import Bench
from holdfast.llm.panels.sitting import Occasion, Sitting
from holdfast.llm.panels.votes import count_votes
from holdfast.llm.ports import Model
from schemas.models import TrackRecord
from schemas.panels import ConveneRequest, PanelMethod, PanelRequest, PanelResult, VoiceAnswer

Embed = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]


class PanelBook(Protocol):
    """What panels said, kept."""

    async def find(self, tenant: str, panel_id: str) -> PanelResult | None: ...

    async def keep(self, result: PanelResult) -> None: ...

    async def notes(self, tenant: str, panel_id: str) -> Sequence[Said]:
        """What the voices of a panel said that has no result yet."""
        ...

    async def note(self, tenant: str, panel_id: str, said: Said) -> None: ...

    async def reliability(self, tenant: str) -> Sequence[TrackRecord]:
        """For each deployment, how often it stood with consensus."""
        ...


class Panel:
    def __init__(
        self,
        *,
        model: Model,
        keeping: Keeping,
        book: PanelBook,
        new_panel_id: Callable[[], str],
        embed: Embed | None = None,
    ) -> None:
        self._model = model
        self._keeping = keeping
        self._book = book
        self._new_panel_id = new_panel_id
        self._embed = embed

    async def sit(self, request: ConveneRequest) -> PanelResult:
        """For a step of a run; fulfils `holdfast.llm.panels.ports.Panels`."""
        occasion = Occasion(
            tenant=request.tenant,
            run_id=request.run_id,
            step_id=request.step_id,
            agent=request.agent,
            run_limit_usd=request.run_limit_usd,
            panel_id=request.id,
        )
        return await self.convene(occasion, request.panel)

    async def convene(self, occasion: Occasion, request: PanelRequest) -> PanelResult:
        """Never fails for want of voices or money: then the result says that there is no consensus. Safe to repeat
        under one id: what has a result is not asked again, and of a sitting that broke off no answer is paid twice."""
        panel_id = occasion.panel_id or self._new_panel_id()
        before = await self._book.find(occasion.tenant, panel_id)
        if before is not None:
            return before
        sitting = await self._opened(occasion, request, panel_id)
        started = time.perf_counter()
        await sitting.ask_all()
        tally = await self._counted(sitting)
        result = _result(sitting, tally, latency_ms=round((time.perf_counter() - started) * 1000, 1))
        await self._book.keep(result)
        return result

    async def _opened(self, occasion: Occasion, request: PanelRequest, panel_id: str) -> Sitting:
        notes = _Notes(self._book, occasion, panel_id)
        spent = await notes.read() if occasion.panel_id else 0.0
        kept = await self._keeping.of(occasion.tenant, occasion.run_id)
        seats = Bench(settings=kept.settings).seats(request.voices)
        sitting = Sitting(
            occasion, request, seats, panel_id=panel_id, model=self._model, notes=notes, spent_usd=spent
        )
        if request.method is PanelMethod.WEIGHTED:
            sitting.weights = weights_from(await self._book.reliability(occasion.tenant))
        return sitting

    async def _counted(self, sitting: Sitting) -> Tally:
        request = sitting.request
        if len(sitting.ballots) < request.live_floor:
            return no_result(_too_few(sitting))
        if request.method is PanelMethod.RUBRIC:
            return count_ranks(sitting.live, await sitting.ranks())
        if request.method is PanelMethod.DEBATE:
            return await self._debated(sitting)
        return await self._tally(sitting)

    async def _debated(self, sitting: Sitting) -> Tally:
        """Ends when all agree, or when the rounds are used up."""
        tally = await self._tally(sitting)
        while tally.score < 1 and sitting.rounds < sitting.request.rounds + 1:
            await sitting.ask_again()
            tally = await self._tally(sitting)
        return tally

    async def _tally(self, sitting: Sitting) -> Tally:
        if sitting.request.choices:
            return count_votes(sitting.live)
        return count_agreement(sitting.live, await self._vectors(sitting.live))

    async def _vectors(self, ballots: Sequence[Ballot]) -> dict[str, Sequence[float]]:
        """None where nothing embeds: then words are compared, which finds less agreement and never more."""
        if self._embed is None:
            return {}
        try:
            found = await self._embed([ballot.text for ballot in ballots])
        except HoldfastError:
            return {}
        return {ballot.voice: vector for ballot, vector in zip(ballots, found, strict=True)}


class _Notes:
    """Fulfils `Notes` for one panel."""

    def __init__(self, book: PanelBook, occasion: Occasion, panel_id: str) -> None:
        self._book = book
        self._tenant = occasion.tenant
        self._panel_id = panel_id
        self._kept: dict[str, Said] = {}

    async def read(self) -> float:
        """What was heard before; what it cost comes back."""
        found = await self._book.notes(self._tenant, self._panel_id)
        self._kept = {said.turn: said for said in found}
        return sum(said.cost_usd for said in found)

    def find(self, turn: str) -> Said | None:
        return self._kept.get(turn)

    async def keep(self, said: Said) -> None:
        await self._book.note(self._tenant, self._panel_id, said)


def _too_few(sitting: Sitting) -> str:
    """With what the dead ones died of, each thing once."""
    voices = sitting.answers(())
    causes = dict.fromkeys(voice.error for voice in voices if voice.error)
    asked = f"{len(sitting.ballots)} of {len(voices)} voices answered; {sitting.request.live_floor} must"
    return "; ".join([asked, *list(causes)[:3]])


def _result(sitting: Sitting, tally: Tally, *, latency_ms: float) -> PanelResult:
    occasion, request = sitting.occasion, sitting.request
    voices: Sequence[VoiceAnswer] = sitting.answers(tally.agreeing)
    winner = sitting.ballots.get(tally.winner or "")
    weak = f"consensus is {tally.score:.2f}, below {request.threshold:.2f}"
    reason = tally.reason or (weak if tally.score < request.threshold else "")
    return PanelResult(
        id=sitting.panel_id,
        tenant=occasion.tenant,
        run_id=occasion.run_id,
        step_id=occasion.step_id,
        question=request.question,
        method=request.method,
        answer=winner.text if winner else "",
        choice=winner.choice if winner else None,
        score=tally.score,
        threshold=request.threshold,
        breakdown=dict(tally.breakdown),
        voices=tuple(voices),
        dissent=tuple(each.text for name, each in sitting.ballots.items() if name not in tally.agreeing),
        rounds=sitting.rounds,
        live=len(sitting.ballots),
        escalate=bool(reason),
        reason=reason,
        cost_usd=round(sum(voice.cost_usd for voice in voices), 9),
        latency_ms=latency_ms,
    )
