"""The workers as a deployment puts them together: they hold panels, and ask a model about what is unclear."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from pydantic import SecretStr

from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.ids import new_id
from holdfast.runtime.settings import (
    DatabaseSettings,
    KnowledgeSettings,
    ModelSettings,
    Settings,
    TemporalSettings,
    WorkerSettings,
)
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Match, Reply, Rule
from holdfast.tools.declare import ToolContext, declared
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.agents import AgentSpec
from schemas.base import Request
from schemas.plans import PanelStep, Plan, ToolStep
from schemas.runs import RunInput, RunOutput, RunState, RunStatus
from schemas.tools import ToolResult
from workers import pools
from workers.parts import parts
from workers.queues import knowledge, llm, orchestration
from workflows.agent_run import AgentRun

FILE = """
deployments:
  - {{name: one, model: one, via: openai, base_url: "{url}", price: {{input: 1, output: 1}}}}
  - {{name: two, model: two, via: openai, base_url: "{url}", price: {{input: 1, output: 1}}}}
"""


class Command(Request):
    command: str


@declared("shell", payload="shell")
async def shell(arguments: Command, context: ToolContext) -> ToolResult:
    """Does nothing."""
    return ToolResult(ok=True, output={"stdout": arguments.command})


async def test_a_run_asks_a_panel_and_a_judge(
    database: Database, database_url: str, temporal_address: str, tmp_path: Path
) -> None:
    host = RegistryToolHost(Registry([shell]))
    steps = (
        PanelStep(id="ask", question="Is it safe?"),
        ToolStep(
            id="do", tool="shell", arguments={"command": "frobnicate"}, when="${steps.ask.output.consensus}"
        ),
    )
    run_input = RunInput(
        run_id=new_id("run"),
        tenant="default",
        goal="act",
        agent=AgentSpec(name="operator"),
        catalogue=host.catalogue(),
        on_failure="fail",
        state=RunState(
            plan=Plan(steps=steps, answer="${steps.ask.output.answer}: ${steps.do.output.stdout}")
        ),
    )
    await PostgresRuns(database=database).create(run_input)
    async with ModelServer() as server, AsyncExitStack() as stack:
        server.rules += [
            Rule(match=Match(form="voice"), replies=(Reply(data={"answer": "It is safe."}),)),
            Rule(match=Match(form="opinion"), replies=(Reply(data={"decision": "allow"}),)),
        ]
        file = tmp_path / "models.yaml"
        file.write_text(FILE.format(url=server.base_url))
        settings = Settings(
            data_dir=tmp_path,
            database=DatabaseSettings(url=SecretStr(database_url)),
            temporal=TemporalSettings(address=temporal_address),
            models=ModelSettings(file=file),
            knowledge=KnowledgeSettings(embedding="none"),
        )
        held = await stack.enter_async_context(parts(settings))
        client = await held.client(role="holdfast_app")
        ledger, artifacts = PostgresLedger(database=database), PostgresArtifacts(database=database)
        for pool in (
            await orchestration.pool(held),
            await llm.pool(held),
            await knowledge.pool(held),
            pools.tools(ledger=ledger, tools=host, artifacts=artifacts, worker="test"),
        ):
            worker = pool.worker(client, workers=WorkerSettings(drain_s=0.1), temporal=settings.temporal)
            await stack.enter_async_context(worker)
        async with asyncio.timeout(60):
            output: RunOutput = await client.execute_workflow(
                AgentRun.run, run_input, id=run_input.run_id, task_queue="orchestration"
            )
    assert (output.status, output.answer) == (RunStatus.SUCCEEDED, "It is safe.: frobnicate")
    assert sorted((call.model, call.form) for call in server.calls) == [
        ("one", "opinion"),
        ("one", "voice"),
        ("two", "voice"),
    ]
