"""Whole runs on real servers, set up by a models file: plans are judged, budgets ask people, outages are told, calls are
paced, and models look back."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from pydantic import SecretStr
from temporalio.client import Client, WorkflowHandle

from holdfast.adapters.llm.afterthought import MemoryWithAfterthought
from holdfast.adapters.llm.layer import ModelLayer
from holdfast.adapters.llm.pacing import TaskQueuePacer
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.ids import new_id
from holdfast.llm.failures import ModelTurnMissed
from holdfast.runtime.settings import (
    DatabaseSettings,
    KnowledgeSettings,
    ModelSettings,
    Settings,
    TemporalSettings,
    WorkerSettings,
)
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Fault, Match, Reply, Rule
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.declare import ToolContext, declared
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.agents import AgentSpec, RunLimits
from schemas.base import Request
from schemas.chat import TaskClass
from schemas.commands import Instruction, ResumeCommand
from schemas.memory import MemoryItem, MemoryKind, MemoryStatus
from schemas.models import Deployment
from schemas.models import ModelSettings as Models
from schemas.plans import Plan, PlanSource, ToolStep
from schemas.runs import RunInput, RunOutput, RunStatus
from schemas.spend import SpendLimit
from schemas.stages import PlanProposal, PlanRequest
from schemas.tools import EffectClass, ToolResult
from tests.llm.crew import at_work, crew
from tests.llm.test_layer import Runbooks
from workers import pools
from workers.parts import parts
from workers.queues import knowledge, llm, orchestration
from workflows.agent_run import AgentRun

FILE = """
deployments:
  - {{name: planner, model: planner, via: openai, base_url: "{url}", price: {{input: 1, output: 1}}}}
  - {{name: judge, model: judge, via: openai, base_url: "{url}", price: {{input: 1, output: 1}}}}
routes:
  plan: planner
  react: planner
  judge: judge
breaker: {{failures: 1, cool_down_s: 300}}
"""


def plan(expression: str) -> Mapping[str, object]:
    return {"steps": [{"id": "sum", "tool": "calc", "arguments": {"expression": expression}}]}


def review(*messages: str) -> Mapping[str, object]:
    findings = [{"step": "sum", "code": "off_goal", "message": message} for message in messages]
    return {"score": 0.1 if messages else 0.9, "findings": findings}


@dataclass
class Stage:
    client: Client
    database: Database
    server: ModelServer
    layer: ModelLayer
    memory: PostgresMemory
    host: RegistryToolHost

    @property
    def runs(self) -> PostgresRuns:
        return PostgresRuns(database=self.database)

    async def start(self, **fields: Any) -> WorkflowHandle[AgentRun, RunOutput]:
        run_input = RunInput(
            run_id=new_id("run"),
            tenant="default",
            goal=fields.pop("goal", "calculate 2 + 3"),
            agent=AgentSpec(name="operator"),
            catalogue=self.host.catalogue(),
            **fields,
        )
        await self.runs.create(run_input)
        return await self.client.start_workflow(
            AgentRun.run, run_input, id=run_input.run_id, task_queue="orchestration"
        )

    async def told(self, run_id: str, event: str, **saying: str) -> Mapping[str, Any]:
        """What the event says, as soon as one is told that says this."""
        async with asyncio.timeout(30):
            while True:
                for each in await self.runs.events("default", run_id, limit=1000):
                    if each.type.value == event and saying.items() <= each.data.items():
                        return each.data
                await asyncio.sleep(0.02)

    async def lesson_of(self, run_id: str) -> MemoryItem:
        async with asyncio.timeout(30):
            while True:
                for item in await self.memory.items("default", kind=MemoryKind.LESSON, run_id=run_id):
                    if item.content.data.get("written_by") == "model":
                        return item
                await asyncio.sleep(0.02)


class NoArguments(Request):
    """The log is asked for nothing."""


async def log(arguments: NoArguments, context: ToolContext) -> ToolResult:
    """Reads the log."""
    return ToolResult(
        ok=True, output={"text": "all is well\n" * 2000 + "ERROR 42\n" + "all is well\n" * 2000}
    )


class OneRunbook(Runbooks):
    async def plan(self, request: PlanRequest) -> PlanProposal:
        steps = (ToolStep(id="sum", tool="calc", arguments={"expression": "2 + 3"}),)
        return PlanProposal(plan=Plan(steps=steps, source=PlanSource.RUNBOOK), by="runbook")


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as running:
        yield running


@pytest.fixture
async def stage(
    database: Database, temporal_address: str, server: ModelServer, tmp_path: Path
) -> AsyncIterator[Stage]:
    file = tmp_path / "models.yaml"
    file.write_text(FILE.format(url=server.base_url))
    client = await connect(HoldfastPlugin(payloads=PostgresPayloads(database)), address=temporal_address)
    layer = await ModelLayer.open(ModelSettings(file=file), database=database, temporal=client)
    memory = PostgresMemory(database=database)
    host = RegistryToolHost(Registry([calc, declared("log", effect=EffectClass.READ_ONLY)(log)]))
    runs = PostgresRuns(database=database)
    thinks = pools.llm(
        planner=layer.planner(runbook=OneRunbook()),
        runs=runs,
        story=runs,
        lessons=layer.lessons(shelf=memory, status=MemoryStatus.PROPOSED),
    )
    remembers = MemoryWithAfterthought(memory=memory, client=client)
    async with at_work(client, crew(database, host, thinks=thinks, memory=remembers)):
        yield Stage(client, database, server, layer, memory, host)
    await layer.close()


async def test_the_judge_sends_a_bad_plan_back_and_a_model_looks_back_on_what_failed(stage: Stage) -> None:
    lesson = {"when": "a sum is divided by zero", "avoid": "dividing", "evidence": ["sum"]}
    stage.server.rules += [
        Rule(match=Match(form="plan", contains=("add, do not multiply",)), replies=(Reply(data=plan("1 / 0")),)),
        Rule(match=Match(form="plan"), replies=(Reply(data=plan("2 * 3")),)),
        Rule(match=Match(form="review", contains=("2 * 3",)), replies=(Reply(data=review("add, do not multiply")),)),
        Rule(match=Match(form="review"), replies=(Reply(data=review()),)),
        Rule(match=Match(form="lessons"), replies=(Reply(data={"lessons": [lesson]}),)),
    ]  # fmt: skip
    handle = await stage.start(on_failure="fail")
    output = await handle.result()
    assert output.status is RunStatus.FAILED
    proposed = await stage.told(handle.id, "plan.proposed")
    assert "judge rejected an earlier plan: sum: add, do not multiply" in proposed["note"]
    assert "Reviewed by judge, score 0.90" in proposed["note"]
    item = await stage.lesson_of(handle.id)
    assert "Avoid: dividing" in item.content.text
    assert [call.form for call in stage.server.calls] == ["plan", "review", "plan", "review", "lessons"]
    calls = await stage.layer.spend.calls("default", handle.id)
    assert [call.deployment for call in calls][:4] == ["planner", "judge", "planner", "judge"]


async def test_the_workers_as_they_are_put_together_judge_plans_and_look_back(
    database: Database, database_url: str, temporal_address: str, server: ModelServer, tmp_path: Path
) -> None:
    lesson = {"when": "a sum is divided by zero", "avoid": "dividing", "evidence": ["sum"]}
    server.rules += [
        Rule(match=Match(form="plan"), replies=(Reply(data=plan("1 / 0")),)),
        Rule(match=Match(form="review"), replies=(Reply(data=review()),)),
        Rule(match=Match(form="lessons"), replies=(Reply(data={"lessons": [lesson]}),)),
    ]
    file = tmp_path / "models.yaml"
    file.write_text(FILE.format(url=server.base_url) + "calls_per_s: {openai: 50}\n")
    settings = Settings(
        data_dir=tmp_path,
        database=DatabaseSettings(url=SecretStr(database_url)),
        temporal=TemporalSettings(address=temporal_address),
        models=ModelSettings(file=file),
        knowledge=KnowledgeSettings(embedding="none"),
    )
    async with parts(settings) as held, AsyncExitStack() as stack:
        client = await held.client(role="holdfast_app")
        for queue in (orchestration, llm, knowledge):
            pool = await queue.pool(held)
            worker = pool.worker(client, workers=WorkerSettings(drain_s=0.1), temporal=settings.temporal)
            await stack.enter_async_context(worker)
        layer = await ModelLayer.open(settings.models, database=database)
        held.closes(layer.close)
        stage = Stage(
            client,
            database,
            server,
            layer,
            PostgresMemory(database=database),
            RegistryToolHost(Registry([calc])),
        )
        handle = await stage.start(on_failure="fail")
        assert (await handle.result()).status is not RunStatus.SUCCEEDED
        assert "Avoid: dividing" in (await stage.lesson_of(handle.id)).content.text
    assert [call.form for call in server.calls] == ["plan", "review", "lessons"]


async def test_a_plan_the_judge_never_likes_is_a_question_to_people(stage: Stage) -> None:
    stage.server.rules += [
        Rule(match=Match(form="plan", contains=("- add them",)), replies=(Reply(data=plan("2 + 3")),)),
        Rule(match=Match(form="plan"), replies=(Reply(data=plan("2 * 3")),)),
        Rule(match=Match(form="review", contains=("2 * 3",)), replies=(Reply(data=review("not what was asked")),)),
        Rule(match=Match(form="review"), replies=(Reply(data=review()),)),
        Rule(replies=(Reply(text="Five."),)),
    ]  # fmt: skip
    handle = await stage.start()
    asked = await stage.told(handle.id, "run.status", status="input_required")
    assert asked["reason"].startswith("plan_refused: ")
    assert "not what was asked" in asked["reason"]
    assert not await PostgresLedger(database=stage.database).effects("default", handle.id)
    await handle.signal(AgentRun.instruct, Instruction(id="one", text="add them", by="a-person"))
    await handle.execute_update(AgentRun.resume, ResumeCommand(by="a-person"))
    assert (await handle.result()).answer == "Five."


async def test_where_no_model_plans_a_person_may(stage: Stage) -> None:
    stage.server.rules += [
        Rule(match=Match(form="plan"), replies=(Reply(fault=Fault(kind="content")),)),
        Rule(replies=(Reply(text="Five."),)),
    ]
    handle = await stage.start()
    asked = await stage.told(handle.id, "run.status", status="input_required")
    assert asked["reason"].startswith("content_refused: ")
    mine = Plan(steps=(ToolStep(id="sum", tool="calc", arguments={"expression": "2 + 3"}),))
    await handle.execute_update(AgentRun.resume, ResumeCommand(by="a-person", plan=mine))
    assert (await handle.result()).answer == "Five."
    assert [call.form for call in stage.server.calls] == ["plan", None]


async def test_an_empty_budget_asks_people_and_a_larger_one_goes_on(stage: Stage) -> None:
    stage.server.rules += [
        Rule(match=Match(form="plan"), replies=(Reply(data=plan("2 + 3")),)),
        Rule(match=Match(form="review"), replies=(Reply(data=review()),)),
        Rule(replies=(Reply(text="Five."),)),
    ]
    handle = await stage.start(limits=RunLimits(spend_usd=0.000001))
    asked = await stage.told(handle.id, "run.status", status="input_required")
    assert asked["reason"].startswith("budget_exhausted: ")
    assert f"run {handle.id}" in asked["reason"]
    assert stage.server.calls == []
    larger = RunLimits(spend_usd=1)
    await stage.layer.spend.limit_run("default", handle.id, larger)
    await handle.execute_update(AgentRun.resume, ResumeCommand(by="a-person", limits=larger))
    assert (await handle.result()).answer == "Five."


async def test_a_long_output_is_kept_aside_and_summarised_for_the_model(stage: Stage) -> None:
    """The error stands in the middle, where no beginning and no end would show it."""
    look = {"thought": "read it", "step": {"id": "look", "tool": "log", "arguments": {}}}
    stage.server.rules += [
        Rule(match=Match(form="move", contains=("ERROR 42 at noon",)), replies=(Reply(data={"answer": "42."}),)),
        Rule(match=Match(form="move"), replies=(Reply(data=look),)),
        Rule(match=Match(contains=("ERROR 42",)), replies=(Reply(text="ERROR 42 at noon"),)),
    ]  # fmt: skip
    handle = await stage.start(mode="react", goal="which error is in the log?")
    assert (await handle.result()).answer == "42."
    calls = await stage.layer.spend.calls("default", handle.id)
    assert [call.task.value for call in calls] == ["react", "summarise", "react"]
    assert [call.step_id for call in calls if call.task is TaskClass.REACT] == ["move_1", "move_2"]


async def test_fifty_runs_that_race_for_one_budget_never_pass_it(stage: Stage) -> None:
    """Whole runs, each with plan, review and answer; those that come too late ask people, and none breaks."""
    stage.server.rules += [
        Rule(match=Match(form="plan"), replies=(Reply(data=plan("2 + 3"), usage=(1000, 500)),)),
        Rule(match=Match(form="review"), replies=(Reply(data=review(), usage=(1000, 500)),)),
        Rule(replies=(Reply(text="Five.", usage=(1000, 500)),)),
    ]
    day = SpendLimit(scope="tenant", subject="default", period="day", limit_usd=0.06)
    await stage.layer.spend.set_limit("default", day)
    goals = [f"calculate {'and ' * times}so on" for times in range(50)]  # no kept plan serves another
    handles = await asyncio.gather(*(stage.start(on_failure="fail", goal=goal) for goal in goals))
    outputs = await asyncio.gather(*(handle.result() for handle in handles))
    (today,) = [
        each for each in await stage.layer.spend.totals("default", scope="tenant") if each.period != "total"
    ]
    late = [output for output in outputs if output.status is RunStatus.FAILED]
    assert all(output.reason.startswith("budget_exhausted") for output in late)
    assert {output.status for output in outputs} == {RunStatus.FAILED, RunStatus.SUCCEEDED}
    assert today.spent_usd == pytest.approx(len(stage.server.calls) * 0.0015)
    assert 0 < today.spent_usd <= day.limit_usd
    assert today.reserved_usd == 0


async def test_with_every_model_away_runbooks_plan_and_say_why(stage: Stage) -> None:
    stage.server.rules.append(Rule(replies=(Reply(fault=Fault(kind="key")),)))
    handle = await stage.start(on_failure="fail")
    output = await handle.result()
    assert (output.status, output.answer) == (RunStatus.SUCCEEDED, "done")
    proposed = await stage.told(handle.id, "plan.proposed", by="runbook")
    assert "does not accept our key" in proposed["note"]
    assert "This plan comes from a runbook" in proposed["note"]


async def test_calls_are_paced_by_the_server_for_all_workers(temporal_client: Client) -> None:
    """Two workers, one limit: Temporal spaces the permits."""
    here = Deployment(name=new_id("place").replace("_", "-"), model="x/test", calls_per_s=5)
    settings = Models(deployments=(here,))
    one = await TaskQueuePacer.open(temporal_client, settings)
    other = TaskQueuePacer(client=temporal_client, limits={f"models.deployment.{here.name}": 5})
    await one.wait(here)
    started = monotonic()
    await asyncio.gather(*(pacer.wait(here) for pacer in [one, other] * 6))
    assert monotonic() - started > 1.0
    await one.wait(Deployment(name="unlimited", model="x/other"))
    await one.close()


async def test_a_turn_that_does_not_come_in_time_is_told(temporal_client: Client) -> None:
    here = Deployment(name="never-served", model="x/test")
    pacer = TaskQueuePacer(client=temporal_client, limits={"models.provider.x": 0.001}, patience_s=1)
    with pytest.raises(ModelTurnMissed, match=r"0.001 times a second") as missed:
        await pacer.wait(here)
    assert missed.value.retryable
