"""The planner against a scripted model server, over real HTTP, through both adapters."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Literal

import pytest

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.providers import Providers
from holdfast.llm.caller import ModelCaller
from holdfast.llm.failures import AnswerMalformed, ModelRateLimited, ModelUnreachable, NoModelAnswers
from holdfast.llm.planner import ModelPlanner, Written
from holdfast.llm.routing_planner import RoutingPlanner
from holdfast.testing.model_memory import MemoryBreakers, MemorySpend
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Fault, FaultKind, Match, Reply, Rule
from schemas.agents import AgentSpec, RunLimits
from schemas.base import JsonObject
from schemas.models import Deployment, ModelSettings, Price
from schemas.plans import Citation, Finding, Plan, PlanSource, Step, StepState, ToolStep
from schemas.runs import StepOutcome
from schemas.stages import (
    Answer,
    AnswerRequest,
    NextMove,
    NextRequest,
    PlanProposal,
    PlanRequest,
    Recalled,
    Recollection,
    RunScope,
)
from schemas.tools import Catalogue, EffectClass, ToolSpec

SCOPE = RunScope(
    tenant="default", run_id="run_00000000000000000000000000", agent="operator", environment="dev"
)
AGENT = AgentSpec(name="operator", instructions="You look after web servers.")
CATALOGUE = Catalogue(
    tools=(
        ToolSpec(
            name="disk.usage",
            description="Tells how full a disk is.",
            input_schema={"type": "object", "properties": {"host": {"type": "string"}}},
            effect=EffectClass.READ_ONLY,
        ),
    )
)
PLAN: JsonObject = {
    "rationale": "Look first.",
    "steps": [
        {"id": "look", "kind": "tool", "tool": "disk.usage", "arguments": {"host": "web-1"}, "cites": ["K1"]},
        {
            "id": "ask",
            "kind": "approval",
            "message": "It is ${steps.look.output.used}. Go on?",
            "depends_on": ["look"],
        },
    ],
    "answer": "The disk is ${steps.look.output.used} full.",
}
KNOWN = Recollection(
    items=(
        Recalled(
            cite=Citation(id="disk-full", title="Disk full", section="Look"), text="Run disk.usage first."
        ),
    )
)


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as running:
        yield running


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    each = Providers(keys=KeyRing({"TEST_KEY": "not-a-real-key-but-secret"}))
    yield each
    await each.close()


def call_ids() -> Iterator[str]:
    return (f"call_{number}" for number in count())


def settings(server: ModelServer, via: Literal["litellm", "openai"]) -> ModelSettings:
    model = "openai/test-large" if via == "litellm" else "test-large"
    deployment = Deployment(
        name="large",
        model=model,
        via=via,
        base_url=server.base_url,
        key="TEST_KEY",
        price=Price(input=1, output=4),
    )
    return ModelSettings(deployments=(deployment,))


def caller(using: ModelSettings, providers: Providers) -> ModelCaller:
    return ModelCaller(
        settings=using,
        provider=providers,
        spend=MemorySpend(),
        breakers=MemoryBreakers(rule=using.breaker),
        new_call_id=call_ids().__next__,
    )


def request(**changes: object) -> PlanRequest:
    whole = PlanRequest(
        scope=SCOPE, goal="Is the disk of web-1 full?", agent=AGENT, catalogue=CATALOGUE, recalled=KNOWN
    )
    return whole.model_copy(update=changes)


@pytest.mark.parametrize("via", ["litellm", "openai"])
async def test_a_model_plans_with_citations_and_a_price(
    server: ModelServer, providers: Providers, via: Literal["litellm", "openai"]
) -> None:
    server.rules.append(Rule(match=Match(form="plan"), replies=(Reply(data=PLAN, usage=(1000, 500)),)))
    proposal = await ModelPlanner(model=caller(settings(server, via), providers)).plan(request())
    assert proposal.plan is not None
    look, ask = proposal.plan.steps
    assert isinstance(look, ToolStep)
    assert look.arguments == {"host": "web-1"}
    assert look.cites[0].id == "disk-full"
    assert ask.kind == "approval"
    assert proposal.plan.source is PlanSource.MODEL
    assert proposal.by == "test-large"
    assert proposal.spend_usd == pytest.approx((1000 * 1 + 500 * 4) / 1e6)
    assert server.calls[0].with_key


async def test_a_malformed_plan_is_sent_back_and_mended(server: ModelServer, providers: Providers) -> None:
    bad = {"steps": [{"id": "Look Here", "tool": "disk.usage"}]}
    server.rules.append(
        Rule(replies=(Reply(text="Sure! Here is the plan"), Reply(data=bad), Reply(data=PLAN)))
    )
    proposal = await ModelPlanner(model=caller(settings(server, "openai"), providers)).plan(request())
    assert proposal.plan is not None
    assert "no JSON object" in server.calls[1].last
    assert "Look Here" in server.calls[2].last
    assert len(server.calls[2].messages) == len(server.calls[1].messages)


async def test_repairs_are_bounded(server: ModelServer, providers: Providers) -> None:
    server.rules.append(Rule(replies=(Reply(text="no"),)))
    planner = ModelPlanner(model=caller(settings(server, "openai"), providers), repairs=1)
    with pytest.raises(AnswerMalformed, match="repairs included"):
        await planner.plan(request())
    assert len(server.calls) == 2


async def test_a_citation_of_what_was_not_shown_is_refused(server: ModelServer, providers: Providers) -> None:
    invented = {"steps": [{"id": "look", "tool": "disk.usage", "cites": ["K7"]}]}
    server.rules.append(Rule(replies=(Reply(data=invented), Reply(data=PLAN))))
    await ModelPlanner(model=caller(settings(server, "openai"), providers)).plan(request())
    assert "K7" in server.calls[1].last


async def test_missing_inputs_are_asked_for(server: ModelServer, providers: Providers) -> None:
    server.rules.append(Rule(replies=(Reply(data={"steps": [], "missing": ["host"]}),)))
    proposal = await ModelPlanner(model=caller(settings(server, "openai"), providers)).plan(request())
    assert proposal.plan is None
    assert proposal.missing == ("host",)


async def test_replanning_shows_the_findings_and_what_is_done(
    server: ModelServer, providers: Providers
) -> None:
    server.rules.append(Rule(replies=(Reply(data=PLAN),)))
    again = request(
        previous=Plan(steps=(ToolStep(id="peek", tool="disk.usage"),)),
        findings=(Finding(step="peek", code="bad_arguments", message="host is missing"),),
        done={"peek": StepOutcome(state=StepState.SUCCEEDED, output={"used": "93%"})},
    )
    await ModelPlanner(model=caller(settings(server, "openai"), providers)).plan(again)
    shown = server.calls[0].last
    assert "host is missing" in shown
    assert "93%" in shown
    assert "under new ids" in shown


@pytest.mark.parametrize("via", ["litellm", "openai"])
async def test_steps_are_heard_while_the_plan_is_written(
    server: ModelServer, providers: Providers, via: Literal["litellm", "openai"]
) -> None:
    heard: list[str] = []

    class Listener:
        async def text(self, scope: RunScope, piece: str, *, task: Written) -> None:
            if "text" not in heard:
                heard.append("text")

        async def step(self, scope: RunScope, step: Step) -> None:
            heard.append(step.id)

        async def restart(self, scope: RunScope, *, task: Written) -> None:
            heard.append("restart")

        async def ended(self, scope: RunScope, *, task: Written) -> None:
            heard.append("ended")

    server.rules.append(Rule(replies=(Reply(data=PLAN, piece=5),)))
    planner = ModelPlanner(model=caller(settings(server, via), providers), listener=Listener())
    await planner.plan(request())
    assert heard == ["restart", "text", "look", "ask", "ended"]


@pytest.mark.parametrize("via", ["litellm", "openai"])
async def test_an_answer_is_heard_while_it_is_written(
    server: ModelServer, providers: Providers, via: Literal["litellm", "openai"]
) -> None:
    heard: list[tuple[str, str]] = []

    class Listener:
        async def text(self, scope: RunScope, piece: str, *, task: Written) -> None:
            heard.append((task, piece))

        async def step(self, scope: RunScope, step: Step) -> None: ...
        async def restart(self, scope: RunScope, *, task: Written) -> None: ...
        async def ended(self, scope: RunScope, *, task: Written) -> None: ...

    server.rules.append(Rule(replies=(Reply(text="The disk is 93% full.", piece=4),)))
    planner = ModelPlanner(model=caller(settings(server, via), providers), listener=Listener())
    plan = Plan(steps=(ToolStep(id="look", tool="disk.usage"),))
    answer = await planner.answer(AnswerRequest(scope=SCOPE, goal="Is it full?", agent=AGENT, plan=plan))
    assert "".join(piece for _, piece in heard) == answer.text
    assert len(heard) > 3
    assert {task for task, _ in heard} == {"answer"}


async def test_the_observe_act_loop_gives_a_step_and_then_an_answer(
    server: ModelServer, providers: Providers
) -> None:
    step = {"thought": "look", "step": {"id": "look", "tool": "disk.usage", "arguments": {"host": "web-1"}}}
    server.rules.append(Rule(replies=(Reply(data=step), Reply(data={"answer": "It is 93% full."}))))
    planner = ModelPlanner(model=caller(settings(server, "openai"), providers))
    ask = NextRequest(scope=SCOPE, goal="Is the disk full?", agent=AGENT, catalogue=CATALOGUE)
    first = await planner.next(ask)
    assert first.step is not None
    observed = ask.model_copy(
        update={
            "steps": (first.step,),
            "outcomes": {"look": StepOutcome(state=StepState.SUCCEEDED, output={"used": "93%"})},
        }
    )
    last = await planner.next(observed)
    assert last.answer == "It is 93% full."
    assert "93%" in server.calls[1].last


async def test_an_answer_comes_from_the_observations(server: ModelServer, providers: Providers) -> None:
    server.rules.append(Rule(match=Match(contains=("93%",)), replies=(Reply(text="The disk is 93% full."),)))
    ask = AnswerRequest(
        scope=SCOPE,
        goal="Is it full?",
        agent=AGENT,
        plan=Plan(steps=(ToolStep(id="look", tool="disk.usage"),)),
        outcomes={"look": StepOutcome(state=StepState.SUCCEEDED, output={"used": "93%"})},
    )
    answer = await ModelPlanner(model=caller(settings(server, "openai"), providers)).answer(ask)
    assert answer.text == "The disk is 93% full."
    assert answer.by == "test-large"


class Runbooks:
    """Stands for the runbook planner, which is tested elsewhere."""

    async def plan(self, request: PlanRequest) -> PlanProposal:
        return PlanProposal(
            plan=Plan(steps=(), source=PlanSource.RUNBOOK), by="runbook", note="From runbook X."
        )

    async def next(self, request: NextRequest) -> NextMove:
        return NextMove(answer="Choosing the next step needs a model.", by="runbook")

    async def answer(self, request: AnswerRequest) -> Answer:
        return Answer(text="done")


async def test_one_failure_is_tried_again_and_an_outage_degrades_with_a_reason(
    server: ModelServer, providers: Providers
) -> None:
    server.rules.append(Rule(replies=(Reply(fault=Fault(kind="overloaded")),)))
    using = settings(server, "openai")
    planner = RoutingPlanner(model=ModelPlanner(model=caller(using, providers)), runbook=Runbooks())
    with pytest.raises(ModelUnreachable):
        await planner.plan(request())
    tired = await planner.plan(request(patient=False))
    assert (tired.by, "has trouble" in tired.note) == ("runbook", True)
    for _ in range(using.breaker.failures - 2):
        with pytest.raises(ModelUnreachable):
            await planner.plan(request())
    proposal = await planner.plan(request())
    assert proposal.by == "runbook"
    assert "left alone after: model_unreachable" in proposal.note
    assert len(server.calls) == using.breaker.failures


async def test_an_outage_refuses_no_goal_that_a_model_could_have_served(
    server: ModelServer, providers: Providers
) -> None:
    class NoRunbooks(Runbooks):
        async def plan(self, request: PlanRequest) -> PlanProposal:
            return PlanProposal(by="runbook", note="No runbook was found.")

    server.rules.append(Rule(replies=(Reply(fault=Fault(kind="key")),)))
    model = ModelPlanner(model=caller(settings(server, "openai"), providers))
    with pytest.raises(NoModelAnswers, match="No runbook serves this goal either"):
        await RoutingPlanner(model=model, runbook=NoRunbooks()).plan(request())
    assert (await RoutingPlanner(model=None, runbook=NoRunbooks()).plan(request())).plan is None


async def test_a_refused_key_is_an_outage_at_once_and_may_pause_instead(
    server: ModelServer, providers: Providers
) -> None:
    server.rules.append(Rule(replies=(Reply(fault=Fault(kind="key")),)))
    model = ModelPlanner(model=caller(settings(server, "openai"), providers))
    with pytest.raises(NoModelAnswers, match="does not accept our key"):
        await RoutingPlanner(model=model, runbook=Runbooks(), when_away="pause").plan(request())


@pytest.mark.parametrize("kind", ["content", "key"])
async def test_a_run_does_not_fail_at_its_last_sentence(
    server: ModelServer, providers: Providers, kind: FaultKind
) -> None:
    server.rules.append(Rule(replies=(Reply(fault=Fault(kind=kind)),)))
    model = ModelPlanner(model=caller(settings(server, "openai"), providers))
    ask = AnswerRequest(scope=SCOPE, goal="Is it full?", agent=AGENT, plan=Plan(steps=()))
    assert (await RoutingPlanner(model=model, runbook=Runbooks()).answer(ask)).text == "done"


async def test_a_run_does_not_wait_for_ever_for_its_last_sentence(
    server: ModelServer, providers: Providers
) -> None:
    server.rules.append(Rule(replies=(Reply(fault=Fault(kind="rate_limit")),)))
    planner = RoutingPlanner(
        model=ModelPlanner(model=caller(settings(server, "openai"), providers)), runbook=Runbooks()
    )
    ask = AnswerRequest(scope=SCOPE, goal="Is it full?", agent=AGENT, plan=Plan(steps=()))
    with pytest.raises(ModelRateLimited):
        await planner.answer(ask)
    assert (await planner.answer(ask.model_copy(update={"patient": False}))).text == "done"


async def test_a_budget_that_is_used_up_costs_the_answer_its_words_only(
    server: ModelServer, providers: Providers
) -> None:
    poor = AGENT.model_copy(update={"limits": RunLimits(spend_usd=0)})
    model = ModelPlanner(model=caller(settings(server, "openai"), providers))
    ask = AnswerRequest(scope=SCOPE, goal="Is it full?", agent=poor, plan=Plan(steps=()))
    assert (await RoutingPlanner(model=model, runbook=Runbooks()).answer(ask)).text == "done"
    assert not server.calls


async def test_without_a_model_the_runbook_planner_is_asked() -> None:
    proposal = await RoutingPlanner(model=None, runbook=Runbooks()).plan(request())
    assert proposal.by == "runbook"
