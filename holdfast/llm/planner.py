"""Plans, moves and answers, thought of by a model."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Literal, Protocol

from pydantic import ValidationError

from holdfast.llm.assembly import labelled, values_for_answer, values_for_next, values_for_plan
from holdfast.llm.complexity import complexity_of
from holdfast.llm.drafts import MoveDraft, PlanDraft, StepDraft, plan_from, step_from
from holdfast.llm.observations import Observations
from holdfast.llm.ports import Model, TextSink
from holdfast.llm.step_stream import StepStream
from holdfast.llm.structured import Form, ask_for
from holdfast.llm.templates import messages_from
from schemas.agents import AgentSpec
from schemas.chat import ChatRequest, TaskClass
from schemas.plans import Citation, Plan, Step, StepState
from schemas.routing import Complexity, Errand
from schemas.runs import StepOutcome
from schemas.stages import Answer, AnswerRequest, NextMove, NextRequest, PlanProposal, PlanRequest, RunScope

Written = Literal["plan", "answer"]


class PlanListener(Protocol):
    """Hears a plan, or an answer, while it is written. What it hears is a preview: only what is returned counts."""

    async def text(self, scope: RunScope, piece: str, *, task: Written) -> None: ...
    async def step(self, scope: RunScope, step: Step) -> None: ...
    async def restart(self, scope: RunScope, *, task: Written) -> None: ...
    async def ended(self, scope: RunScope, *, task: Written) -> None: ...


PastSuccess = Callable[[str, str, str], Awaitable[float | None]]
"""From tenant, agent and goal to the share of such runs that succeeded; None where there were none."""

_PLAN_TOKENS = 8192
_WARMTH = 0.7


class ModelPlanner:
    def __init__(
        self,
        *,
        model: Model,
        repairs: int = 2,
        timeout_s: float = 120,
        history: PastSuccess | None = None,
        listener: PlanListener | None = None,
        observations: Observations | None = None,
    ) -> None:
        self._model = model
        self._repairs = repairs
        self._timeout_s = timeout_s
        self._history = history
        self._listener = listener
        self._observations = observations

    async def plan(self, request: PlanRequest) -> PlanProposal:
        done, spent = await self._fitted(request.scope, request.goal, request.done)
        request = request.model_copy(update={"done": done})
        sources = labelled(request.recalled)

        def read(draft: PlanDraft) -> tuple[Plan | None, tuple[str, ...]]:
            plan = plan_from(draft, sources)
            return (plan if plan.steps else None), tuple(draft.missing)

        errand = _errand(
            TaskClass.PLAN,
            request.scope,
            request.agent,
            await self._complexity(request, rejections=request.attempt),
        )
        async with self._shown(request, sources) as sink:
            answered = await ask_for(
                Form("plan", PlanDraft, read),
                self._model,
                errand,
                self._plan_chat(request),
                repairs=self._repairs,
                sink=sink,
            )
        plan, missing = answered.value
        return PlanProposal(plan=plan, by=answered.by, missing=missing, spend_usd=spent + answered.cost_usd)

    async def next(self, request: NextRequest) -> NextMove:
        outcomes, spent = await self._fitted(request.scope, request.goal, request.outcomes)
        request = request.model_copy(update={"outcomes": outcomes})
        sources = labelled(request.recalled)

        def read(draft: MoveDraft) -> tuple[Step | None, str | None, str]:
            if (draft.step is None) == (draft.answer is None):
                raise ValueError("give either `step` or `answer`, not both and not neither")
            return (step_from(draft.step, sources) if draft.step else None), draft.answer, draft.thought

        answered = await ask_for(
            Form("move", MoveDraft, read),
            self._model,
            _errand(
                TaskClass.REACT,
                request.scope,
                request.agent,
                await self._complexity(request, rejections=sum(map(_went_wrong, outcomes.values()))),
                step=f"move_{request.turn + 1}",
            ),
            self._chat("next", values_for_next(request), request.agent),
            repairs=self._repairs,
        )
        step, answer, thought = answered.value
        return NextMove(
            step=step, answer=answer, thought=thought, by=answered.by, spend_usd=spent + answered.cost_usd
        )

    async def answer(self, request: AnswerRequest) -> Answer:
        """In free text: a form would gain nothing, and costs small models their best words."""
        outcomes, spent = await self._fitted(request.scope, request.goal, request.outcomes)
        request = request.model_copy(update={"outcomes": outcomes})
        chat = self._chat("answer", values_for_answer(request), request.agent)
        errand = _errand(TaskClass.ANSWER, request.scope, request.agent)
        async with self._told(request.scope) as sink:
            reply = await self._model.chat(errand, chat, sink=sink)
        return Answer(
            text=reply.text.strip(),
            by=reply.model or reply.deployment,
            cites=request.plan.cites,
            spend_usd=spent + reply.cost_usd,
        )

    async def _fitted(
        self, scope: RunScope, goal: str, outcomes: Mapping[str, StepOutcome]
    ) -> tuple[Mapping[str, StepOutcome], float]:
        return (
            await self._observations.fitted(scope, goal, outcomes) if self._observations else (outcomes, 0.0)
        )

    def _plan_chat(self, request: PlanRequest) -> ChatRequest:
        """Alternatives are asked for with the same words, so chance has to tell them apart."""
        chat = self._chat("plan", values_for_plan(request), request.agent, tokens=_PLAN_TOKENS)
        warmth = _WARMTH if request.agent.alternatives > 1 else 0
        return chat.model_copy(update={"temperature": warmth})

    async def _complexity(self, request: PlanRequest | NextRequest, *, rejections: int) -> Complexity:
        scope = request.scope
        past = await self._history(scope.tenant, scope.agent, request.goal) if self._history else None
        tools = len(request.catalogue.tools)
        return complexity_of(request.goal, tools=tools, rejections=rejections, past_success=past)

    def _chat(
        self, name: str, values: Mapping[str, str], agent: AgentSpec, *, tokens: int = 4096
    ) -> ChatRequest:
        messages = messages_from(name, values, own=agent.prompts)
        return ChatRequest(messages=messages, max_output_tokens=tokens, timeout_s=self._timeout_s)

    @asynccontextmanager
    async def _shown(
        self, request: PlanRequest, sources: Mapping[str, Citation]
    ) -> AsyncIterator[TextSink | None]:
        """Several plans written at once are not shown: they would run into each other. What was shown of an earlier
        attempt is void."""
        if self._listener is None or request.agent.alternatives > 1:
            yield None
            return
        sink = _PlanSink(self._listener, request.scope, sources)
        await sink.restart()
        yield sink
        await self._listener.ended(request.scope, task="plan")

    @asynccontextmanager
    async def _told(self, scope: RunScope) -> AsyncIterator[TextSink | None]:
        """The answer, while it is written."""
        if self._listener is None:
            yield None
            return
        sink = _AnswerSink(self._listener, scope)
        await sink.restart()
        yield sink
        await self._listener.ended(scope, task="answer")


class _PlanSink:
    """Turns the text of a plan into whole steps, for a listener."""

    def __init__(self, listener: PlanListener, scope: RunScope, sources: Mapping[str, Citation]) -> None:
        self._listener = listener
        self._scope = scope
        self._sources = sources
        self._steps = StepStream()

    async def text(self, piece: str) -> None:
        await self._listener.text(self._scope, piece, task="plan")
        for written in self._steps.feed(piece):
            step = _preview(written, self._sources)
            if step:
                await self._listener.step(self._scope, step)

    async def restart(self) -> None:
        self._steps = StepStream()
        await self._listener.restart(self._scope, task="plan")


class _AnswerSink:
    def __init__(self, listener: PlanListener, scope: RunScope) -> None:
        self._listener = listener
        self._scope = scope

    async def text(self, piece: str) -> None:
        await self._listener.text(self._scope, piece, task="answer")

    async def restart(self) -> None:
        await self._listener.restart(self._scope, task="answer")


def _preview(written: object, sources: Mapping[str, Citation]) -> Step | None:
    try:
        return step_from(StepDraft.model_validate(written), sources)
    except (ValidationError, ValueError):
        return None  # the whole plan is read again at the end, and what is wrong is sent back then


def _went_wrong(outcome: StepOutcome) -> bool:
    return outcome.state not in (StepState.SUCCEEDED, StepState.SKIPPED)


def _errand(
    task: TaskClass,
    scope: RunScope,
    agent: AgentSpec,
    complexity: Complexity | None = None,
    step: str | None = None,
) -> Errand:
    return Errand(
        tenant=scope.tenant,
        task=task,
        run_id=scope.run_id,
        agent=scope.agent,
        step_id=step,
        prefer=agent.model,
        run_limit_usd=agent.limits.spend_usd,
        complexity=complexity or Complexity(),
    )
