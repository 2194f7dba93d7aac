"""Plans, moves and answers, thought of by a model."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from pydantic import ValidationError

from holdfast.llm.assembly import labelled, values_for_answer, values_for_next, values_for_plan
from holdfast.llm.complexity import complexity_of
from holdfast.llm.drafts import MoveDraft, PlanDraft, StepDraft, plan_from, step_from
from holdfast.llm.ports import Model, TextSink
from holdfast.llm.step_stream import StepStream
from holdfast.llm.structured import Form, ask_for
from holdfast.llm.templates import messages_from
from schemas.agents import AgentSpec
from schemas.models import ChatRequest, Complexity, Errand, TaskClass
from schemas.plans import Citation, Plan, Step
from schemas.stages import Answer, AnswerRequest, NextMove, NextRequest, PlanProposal, PlanRequest, RunScope


class PlanListener(Protocol):
    """Hears a plan while it is written. What it hears is a preview: only the returned plan counts."""

    async def text(self, scope: RunScope, piece: str) -> None: ...
    async def step(self, scope: RunScope, step: Step) -> None: ...
    async def restart(self, scope: RunScope) -> None: ...


PastSuccess = Callable[[str, str], Awaitable[float | None]]
"""From a tenant and an agent to the share of its recent runs that succeeded; None where there were none."""

_PLAN_TOKENS = 8192


class ModelPlanner:
    def __init__(
        self,
        *,
        model: Model,
        repairs: int = 2,
        timeout_s: float = 120,
        history: PastSuccess | None = None,
        listener: PlanListener | None = None,
    ) -> None:
        self._model = model
        self._repairs = repairs
        self._timeout_s = timeout_s
        self._history = history
        self._listener = listener

    async def plan(self, request: PlanRequest) -> PlanProposal:
        sources = labelled(request.recalled)

        def read(draft: PlanDraft) -> tuple[Plan | None, tuple[str, ...]]:
            plan = plan_from(draft, sources)
            return (plan if plan.steps else None), tuple(draft.missing)

        answered = await ask_for(
            Form("plan", PlanDraft, read),
            self._model,
            _errand(TaskClass.PLAN, request.scope, request.agent, await self._complexity(request)),
            self._chat("plan", values_for_plan(request), request.agent, tokens=_PLAN_TOKENS),
            repairs=self._repairs,
            sink=self._sink(request.scope, sources),
        )
        plan, missing = answered.value
        return PlanProposal(plan=plan, by=answered.by, missing=missing, spend_usd=answered.cost_usd)

    async def next(self, request: NextRequest) -> NextMove:
        sources = labelled(request.recalled)

        def read(draft: MoveDraft) -> tuple[Step | None, str | None, str]:
            if (draft.step is None) == (draft.answer is None):
                raise ValueError("give either `step` or `answer`, not both and not neither")
            return (step_from(draft.step, sources) if draft.step else None), draft.answer, draft.thought

        answered = await ask_for(
            Form("move", MoveDraft, read),
            self._model,
            _errand(TaskClass.REACT, request.scope, request.agent),
            self._chat("next", values_for_next(request), request.agent),
            repairs=self._repairs,
        )
        step, answer, thought = answered.value
        return NextMove(
            step=step, answer=answer, thought=thought, by=answered.by, spend_usd=answered.cost_usd
        )

    async def answer(self, request: AnswerRequest) -> Answer:
        """In free text: a form would gain nothing, and costs small models their best words."""
        chat = self._chat("answer", values_for_answer(request), request.agent)
        errand = _errand(TaskClass.ANSWER, request.scope, request.agent)
        reply = await self._model.chat(errand, chat)
        return Answer(
            text=reply.text.strip(),
            by=reply.model or reply.deployment,
            cites=request.plan.cites,
            spend_usd=reply.cost_usd,
        )

    async def _complexity(self, request: PlanRequest) -> Complexity:
        past = await self._history(request.scope.tenant, request.scope.agent) if self._history else None
        tools = len(request.catalogue.tools)
        return complexity_of(request.goal, tools=tools, rejections=request.attempt, past_success=past)

    def _chat(
        self, name: str, values: Mapping[str, str], agent: AgentSpec, *, tokens: int = 4096
    ) -> ChatRequest:
        messages = messages_from(name, values, own=agent.prompts)
        return ChatRequest(messages=messages, max_output_tokens=tokens, timeout_s=self._timeout_s)

    def _sink(self, scope: RunScope, sources: Mapping[str, Citation]) -> TextSink | None:
        return _PlanSink(self._listener, scope, sources) if self._listener else None


class _PlanSink:
    """Turns the text of a plan into whole steps, for a listener."""

    def __init__(self, listener: PlanListener, scope: RunScope, sources: Mapping[str, Citation]) -> None:
        self._listener = listener
        self._scope = scope
        self._sources = sources
        self._steps = StepStream()

    async def text(self, piece: str) -> None:
        await self._listener.text(self._scope, piece)
        for written in self._steps.feed(piece):
            step = _preview(written, self._sources)
            if step:
                await self._listener.step(self._scope, step)

    async def restart(self) -> None:
        self._steps = StepStream()
        await self._listener.restart(self._scope)


def _preview(written: object, sources: Mapping[str, Citation]) -> Step | None:
    try:
        return step_from(StepDraft.model_validate(written), sources)
    except (ValidationError, ValueError):
        return None  # the whole plan is read again at the end, and what is wrong is sent back then


def _errand(
    task: TaskClass, scope: RunScope, agent: AgentSpec, complexity: Complexity | None = None
) -> Errand:
    return Errand(
        tenant=scope.tenant,
        task=task,
        run_id=scope.run_id,
        agent=scope.agent,
        prefer=agent.model,
        run_limit_usd=agent.limits.spend_usd,
        complexity=complexity or Complexity(),
    )
