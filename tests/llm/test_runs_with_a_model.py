"""Whole runs on real servers whose planner is a model behind HTTP: Temporal, Postgres, workers for every queue."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr
from temporalio.client import Client, WorkflowHandle

from holdfast.adapters.llm.layer import ModelLayer
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.model_routes import PostgresModelRoutes
from holdfast.adapters.postgres.models import PostgresSpend
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.ids import new_id
from holdfast.runtime.settings import ModelSettings
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Fault, Match, Reply, Rule
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.agents import AgentSpec, RunLimits
from schemas.commands import CancelCommand
from schemas.models import Price
from schemas.runs import RunInput, RunOutput, RunStatus
from tests.llm.crew import at_work, crew
from tests.llm.test_layer import Runbooks
from workers import pools
from workflows.agent_run import AgentRun

KEY = "sk-a-key-that-must-not-be-seen-0123"
PLAN = {
    "steps": [
        {"id": "sum", "tool": "calc", "arguments": {"expression": "2 + 3"}},
        {"id": "double", "tool": "calc", "arguments": {"expression": "${steps.sum.output.value} * 2"}},
    ]
}


@dataclass
class Stage:
    client: Client
    database: Database
    server: ModelServer
    layer: ModelLayer
    host: RegistryToolHost

    async def start(self, **fields: Any) -> WorkflowHandle[AgentRun, RunOutput]:
        run_input = RunInput(
            run_id=new_id("run"),
            tenant="default",
            goal="calculate",
            agent=AgentSpec(name="operator"),
            catalogue=self.host.catalogue(),
            models=await PostgresModelRoutes(database=self.database).current(),
            **({"on_failure": "fail"} | fields),
        )
        await PostgresRuns(database=self.database).create(run_input)
        return await self.client.start_workflow(
            AgentRun.run, run_input, id=run_input.run_id, task_queue="orchestration"
        )


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as running:
        yield running


@pytest.fixture
async def stage(database: Database, temporal_address: str, server: ModelServer) -> AsyncIterator[Stage]:
    section = ModelSettings(
        default="openai/test", api_bases={"openai": server.base_url}, api_keys={"openai": SecretStr(KEY)}
    )
    await PostgresSpend(database=database).set_price("openai/test", Price(input=1, output=1), by="test")
    layer = await ModelLayer.open(section, database=database)
    client = await connect(HoldfastPlugin(payloads=PostgresPayloads(database)), address=temporal_address)
    host = RegistryToolHost(Registry([calc]))
    runs = PostgresRuns(database=database)
    thinks = pools.llm(planner=layer.planner(runbook=Runbooks()), runs=runs, story=runs)
    async with at_work(client, crew(database, host, thinks=thinks)):
        yield Stage(client, database, server, layer, host)
    await layer.close()


async def test_a_model_plans_a_run_and_answers_it(stage: Stage) -> None:
    stage.server.rules += [
        Rule(match=Match(form="plan"), replies=(Reply(data=PLAN),)),
        Rule(match=Match(contains=("10",)), replies=(Reply(text="It is ten."),)),
    ]
    handle = await stage.start()
    output = await handle.result()
    assert (output.status, output.answer) == (RunStatus.SUCCEEDED, "It is ten.")
    assert [call.task.value for call in await stage.layer.spend.calls("default", handle.id)] == [
        "plan",
        "answer",
    ]
    assert stage.server.calls[0].with_key
    assert KEY not in (await handle.fetch_history()).to_json()
    events = await PostgresRuns(database=stage.database).events("default", handle.id, limit=1000)
    assert not [event for event in events if KEY in event.model_dump_json()]


async def test_a_plan_that_succeeded_serves_the_next_run_also_under_the_policies_that_ship(
    stage: Stage,
) -> None:
    stage.server.rules += [
        Rule(match=Match(form="plan"), replies=(Reply(data=PLAN),)),
        Rule(replies=(Reply(text="It is ten."),)),
    ]
    for asked in (["plan", "answer"], ["answer"]):
        handle = await stage.start()
        assert (await handle.result()).status is RunStatus.SUCCEEDED
        assert [call.task.value for call in await stage.layer.spend.calls("default", handle.id)] == asked


async def test_a_model_acts_on_what_it_observes(stage: Stage) -> None:
    move = {"step": {"id": "sum", "tool": "calc", "arguments": {"expression": "2 + 3"}}}
    stage.server.rules += [
        Rule(match=Match(form="move", contains=('"value":5',)), replies=(Reply(data={"answer": "Five."}),)),
        Rule(match=Match(form="move"), replies=(Reply(data=move),)),
    ]
    output = await (await stage.start(mode="react")).result()
    assert (output.status, output.answer) == (RunStatus.SUCCEEDED, "Five.")


async def test_a_plan_with_errors_goes_back_with_the_findings(stage: Stage) -> None:
    wrong = {"steps": [{"id": "sum", "tool": "calculator", "arguments": {}}]}
    stage.server.rules += [
        Rule(match=Match(form="plan", contains=("It was rejected",)), replies=(Reply(data=PLAN),)),
        Rule(match=Match(form="plan"), replies=(Reply(data=wrong),)),
        Rule(replies=(Reply(text="done"),)),
    ]
    output = await (await stage.start()).result()
    assert output.status is RunStatus.SUCCEEDED
    assert "calculator" in stage.server.calls[1].last


async def test_a_run_waits_as_long_as_the_provider_says(stage: Stage) -> None:
    limited = Reply(fault=Fault(kind="rate_limit", retry_after_s=0.4))
    stage.server.rules += [
        Rule(match=Match(form="plan"), replies=(limited, Reply(data=PLAN))),
        Rule(replies=(Reply(text="done"),)),
    ]
    output = await (await stage.start()).result()
    assert output.status is RunStatus.SUCCEEDED
    assert [call.outcome for call in stage.server.calls][:2] == ["refused", "answered"]


async def test_a_budget_that_is_used_up_stops_the_run_before_the_call(stage: Stage) -> None:
    output = await (await stage.start(limits=RunLimits(spend_usd=0.000001))).result()
    assert output.status is not RunStatus.SUCCEEDED
    assert "budget" in output.reason.lower()
    assert stage.server.calls == []


async def test_cancelling_a_run_stops_the_request_to_the_model(stage: Stage) -> None:
    stage.server.rules.append(Rule(replies=(Reply(data=PLAN, delay_s=300),)))
    handle = await stage.start()
    async with asyncio.timeout(60):
        await stage.server.until(lambda calls: len(calls) > 0)
        await handle.execute_update(AgentRun.cancel, CancelCommand(by="a-person"))
        await handle.result()
        await stage.server.until(lambda calls: calls[0].outcome == "abandoned")
        await stage.layer.model.close()
    (call,) = await stage.layer.spend.calls("default", handle.id)
    assert (call.status, call.failure) == ("settled", "cancelled")
