"""Runs with a panel step on real servers: Temporal, Postgres, workers, and models behind HTTP, some of which lie."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.layer import ModelLayer
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.panels import PostgresPanelBook
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.ids import new_id
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Fault, Match, Reply, Rule
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.agents import AgentSpec, RunLimits
from schemas.chat import TaskClass
from schemas.commands import CancelCommand
from schemas.events import EventType, RunEvent
from schemas.models import Deployment, ModelSettings, Price, Route
from schemas.panels import PanelMethod, Voice
from schemas.plans import PanelStep, Plan, Step, ToolStep
from schemas.runs import RunInput, RunOutput, RunState, RunStatus
from schemas.stages import Answer, AnswerRequest
from tests.api.conftest import reaching, serve
from tests.llm.crew import at_work, crew
from tests.runs.acting import Script
from tests.runs.deciding import decide
from workers import pools
from workflows.agent_run import AgentRun


class Silent(Script):
    """Says what the panel chose."""

    async def answer(self, request: AnswerRequest) -> Answer:
        outcome = request.outcomes.get("ask") or request.outcomes["panel"]
        return Answer(text=str(outcome.output.get("choice")))


MODELS = ("one", "two", "three", "dead", "slow", "liar")
SAFE = ("safe", "unsafe")


@dataclass
class Stage:
    client: Client
    database: Database
    server: ModelServer
    layer: ModelLayer
    host: RegistryToolHost

    async def start(self, *steps: Step, **fields: Any) -> WorkflowHandle[AgentRun, RunOutput]:
        run_input = RunInput(
            run_id=new_id("run"),
            tenant="default",
            goal="ask around",
            agent=AgentSpec(name="operator"),
            catalogue=self.host.catalogue(),
            state=RunState(plan=Plan(steps=steps)),
            **({"on_failure": "fail"} | fields),
        )
        await PostgresRuns(database=self.database).create(run_input)
        return await self.client.start_workflow(
            AgentRun.run, run_input, id=run_input.run_id, task_queue="orchestration"
        )

    async def story(self, run_id: str) -> Sequence[RunEvent]:
        return await PostgresRuns(database=self.database).events("default", run_id, limit=1000)

    async def until(self, run_id: str, kind: EventType) -> RunEvent:
        async with asyncio.timeout(30):
            while True:
                found = [event for event in await self.story(run_id) if event.type is kind]
                if found:
                    return found[-1]
                await asyncio.sleep(0.02)

    async def met(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(30):
            while not await condition():  # noqa: ASYNC110 -- the world outside sets no event of ours
                await asyncio.sleep(0.02)

    async def decide(self, run_id: str, *, approve: bool = True, comment: str = "") -> RunEvent:
        asked = await self.until(run_id, EventType.APPROVAL_REQUESTED)
        approval, digest = asked.data["approval_id"], asked.data["digest"]
        await decide(self.database, self.client, run_id, approval, digest, approve=approve, comment=comment)
        return asked


@pytest.fixture(scope="module")
async def stage(module_database: Database, temporal_address: str) -> AsyncIterator[Stage]:
    """One stack for the module; each test has rules of its own."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ModelServer())
        layer = ModelLayer(settings=_settings(server.base_url), keys=KeyRing({}), database=module_database)
        await layer.providers.load(layer.settings.deployments)
        stack.push_async_callback(layer.close)
        plugin = HoldfastPlugin(payloads=PostgresPayloads(module_database))
        client = await connect(plugin, address=temporal_address)
        host = RegistryToolHost(Registry([calc]))
        runs = PostgresRuns(database=module_database)
        thinks = pools.llm(planner=Silent(), runs=runs, story=runs, panels=layer.panel())
        made = crew(module_database, host, thinks=thinks)
        await stack.enter_async_context(at_work(client, made, cached_runs=0))
        yield Stage(client, module_database, server, layer, host)


def _settings(url: str) -> ModelSettings:
    deployments = tuple(
        Deployment(
            name=name, model=f"test/{name}", via="openai", base_url=url, price=Price(input=1, output=1)
        )
        for name in MODELS
    )
    return ModelSettings(
        deployments=deployments, routes={TaskClass.PANEL: Route(deployments=("one", "two", "three"))}
    )


@pytest.fixture(autouse=True)
def forgotten(stage: Stage) -> None:
    stage.server.rules.clear()
    stage.server.calls.clear()


def says(model: str, choice: str, answer: str = "because") -> Rule:
    data = {"answer": answer, "choice": choice}
    return Rule(match=Match(model=f"*{model}", form="voice"), replies=(Reply(data=data),))


def ask(*models: str, **fields: Any) -> PanelStep:
    voices = tuple(Voice(name=model, model=model) for model in models)
    given = {"question": "Is it safe?", "voices": voices, "method": PanelMethod.VOTE, "choices": SAFE}
    return PanelStep.model_validate({"id": "ask", **given, **fields})


async def test_a_run_asks_a_panel_with_a_dead_a_slow_and_a_lying_voice(stage: Stage) -> None:
    stage.server.rules += [
        Rule(match=Match(model="*dead"), replies=(Reply(fault=Fault(kind="overloaded")),)),
        Rule(
            match=Match(model="*slow"), replies=(Reply(data={"answer": "x", "choice": "safe"}, delay_s=60),)
        ),
        *(says(model, "safe", "Nothing writes there.") for model in ("one", "two", "three")),
        says("liar", "unsafe", "It will explode."),
    ]
    look = ToolStep(id="look", tool="calc", arguments={"expression": "40 + 2"})
    panel = ask(*MODELS, context="${steps.look.output}", live_floor=3, voice_timeout_s=5)
    handle = await stage.start(look, panel)
    output = await handle.result()
    assert (output.status, output.answer) == (RunStatus.SUCCEEDED, "safe")
    assert '"value": 42' in stage.server.calls[0].text
    story = await stage.story(handle.id)
    [ended] = [e.data["outcome"] for e in story if e.type is EventType.STEP_SUCCEEDED and e.step_id == "ask"]
    result = ended["output"]
    assert (result["choice"], result["score"], result["consensus"]) == ("safe", 0.75, True)
    assert result["breakdown"] == {"safe": 0.75, "unsafe": 0.25}
    assert result["dissent"] == ["It will explode."]
    states = {voice["voice"]: voice["state"] for voice in result["voices"]}
    assert (states["dead"], states["slow"], states["liar"]) == ("failed", "late", "answered")
    assert all(v["cost_usd"] > 0 and v["latency_ms"] > 0 for v in result["voices"] if v["agrees"])
    called = {e.data["voice"]: e.data["state"] for e in story if e.type is EventType.MODEL_CALLED}
    assert called == states
    calls = await stage.layer.spend.calls("default", handle.id)
    assert {(call.task, call.step_id) for call in calls} == {(TaskClass.PANEL, "ask")}
    spent = sum(call.cost_usd or 0 for call in calls)
    assert output.spend_usd == pytest.approx(
        spent, abs=1e-6
    )  # what the slow voice is presumed to cost included
    kept = await PostgresPanelBook(database=stage.database).of_step("default", handle.id, "ask")
    assert kept is not None
    assert kept.voices[0].text == "Nothing writes there."


async def test_a_split_panel_asks_people_whose_comment_is_the_choice(stage: Stage) -> None:
    stage.server.rules += [says("one", "safe", "Yes, it is."), says("two", "unsafe", "No, it writes.")]
    handle = await stage.start(ask("one", "two"))
    asked = await stage.decide(handle.id, comment="unsafe")
    output = await handle.result()
    assert (output.status, output.answer) == (RunStatus.SUCCEEDED, "unsafe")
    summary = asked.data["summary"]
    assert summary["what"] == "Is it safe?"
    assert "one (one): safe: Yes, it is." in summary["detail"]
    assert "tie" in summary["reasons"][0]
    told = [event.data for event in await stage.story(handle.id) if event.type is EventType.STEP_SUCCEEDED]
    assert told[-1]["outcome"]["output"]["decided_by"] == "human"
    assert told[-1]["outcome"]["output"]["approvers"] == ["user:somebody"]


async def test_what_people_reject_is_denied(stage: Stage) -> None:
    stage.server.rules += [says("one", "safe"), says("two", "unsafe")]
    handle = await stage.start(ask("one", "two"))
    await stage.decide(handle.id, approve=False, comment="ask the vendor")
    output = await handle.result()
    assert output.status is RunStatus.FAILED
    assert "ask the vendor" in output.reason


@pytest.mark.parametrize(("escalate", "status"), [("fail", RunStatus.FAILED), ("none", RunStatus.SUCCEEDED)])
async def test_a_step_may_fail_or_go_on_without_consensus(
    stage: Stage, escalate: str, status: RunStatus
) -> None:
    stage.server.rules += [says("one", "safe"), says("two", "safe"), says("liar", "unsafe")]
    handle = await stage.start(ask("one", "two", "liar", threshold=0.9, escalate=escalate))
    output = await handle.result()
    assert output.status is status
    assert (output.answer == "safe") is (status is RunStatus.SUCCEEDED)


async def test_a_budget_of_the_panel_leaves_too_few_voices_and_asks_people(stage: Stage) -> None:
    stage.server.rules += [says(model, "safe") for model in ("one", "two", "three")]
    handle = await stage.start(ask("one", "two", "three", budget_usd=0.0021))
    asked = await stage.decide(handle.id, comment="safe")
    assert (await handle.result()).answer == "safe"
    assert "1 of 3 voices answered; 2 must" in asked.data["summary"]["reasons"][0]
    assert "budget of the panel is 0.0021 USD" in asked.data["summary"]["reasons"][0]
    assert len(stage.server.calls) == 1


async def test_the_budget_of_the_run_holds_for_its_panels(stage: Stage) -> None:
    handle = await stage.start(ask("one", "two", escalate="fail"), limits=RunLimits(spend_usd=0.0001))
    output = await handle.result()
    assert "The budget of run" in output.reason
    assert stage.server.calls == []


async def test_roles_are_given_the_models_that_serve_panels_in_turn(stage: Stage) -> None:
    stage.server.rules.append(Rule(replies=(Reply(data={"answer": "yes", "choice": "safe"}),)))
    roles = (
        "You are a database operator.",
        "You guard the network.",
        "You answer for the costs.",
        "You doubt.",
    )
    voices = [{"role": role} for role in roles]
    output = await (await stage.start(ask(voices=voices))).result()
    assert output.answer == "safe"
    asked = {next(role for role in roles if role in call.text): call.model for call in stage.server.calls}
    assert [asked[role] for role in roles] == ["test/one", "test/two", "test/three", "test/one"]


async def test_a_model_nobody_configured_is_a_dead_voice(stage: Stage) -> None:
    stage.server.rules += [says("one", "safe"), says("two", "safe")]
    handle = await stage.start(ask("one", "two", "gpt-99"))
    assert (await handle.result()).answer == "safe"
    [told] = [e.data for e in await stage.story(handle.id) if e.data.get("voice") == "gpt-99"]
    assert told["error"].startswith("No model gpt-99 is configured; there are one, two")


async def test_a_question_over_http_is_answered_within_the_request(
    stage: Stage, module_database_url: str, temporal_address: str
) -> None:
    stage.server.rules += [
        says(model, "safe", "Nothing ${writes} there.") for model in ("one", "two", "three")
    ]
    question = {"question": "Is ${inputs.nothing} safe?", "method": "vote", "choices": list(SAFE)}
    async with serve(module_database_url, reaching(temporal_address)) as api:
        http = api.http()
        answer = await http.post("/v1/consensus?wait=30", json=question)
        assert answer.status_code == 200
        said = answer.json()
        assert (said["status"], said["choice"], said["decided_by"]) == ("succeeded", "safe", "panel")
        assert said["answer"] == "Nothing ${writes} there."
        assert [voice["voice"] for voice in said["result"]["voices"]] == ["one", "two", "three"]
        assert "Is ${inputs.nothing} safe?" in stage.server.calls[0].text
        stage.server.rules[:] = [says("one", "safe"), says("two", "unsafe")]
        split = (await http.post("/v1/consensus?wait=30", json=question)).json()
        assert (split["status"], split["decided_by"]) == ("input_required", None)
        approval = (await http.get(f"/v1/approvals/{split['approval_id']}")).json()
        decision = {"decision": "approve", "digest": approval["digest"], "comment": "unsafe"}
        await http.post(f"/v1/approvals/{approval['id']}/decision", json=decision)
        await stage.until(split["id"], EventType.RUN_ENDED)
        decided = (await http.get(f"/v1/consensus/{split['id']}")).json()
        assert (decided["choice"], decided["decided_by"]) == ("unsafe", "human")
        assert decided["approvers"]


async def test_cancelling_a_run_hangs_up_on_every_voice(stage: Stage) -> None:
    stage.server.rules.append(Rule(replies=(Reply(data={"answer": "x", "choice": "safe"}, delay_s=300),)))
    handle = await stage.start(ask("one", "two"))
    async with asyncio.timeout(60):
        await stage.server.until(lambda calls: len(calls) == 2)
        await handle.execute_update(AgentRun.cancel, CancelCommand(by="a-person"))
        output = await handle.result()
        await stage.server.until(lambda calls: all(call.outcome == "abandoned" for call in calls))
    assert output.status is RunStatus.CANCELLED
