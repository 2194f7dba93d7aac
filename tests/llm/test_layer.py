"""The whole model layer, as the llm worker opens it from its settings."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from psycopg import sql
from pydantic import SecretStr

from holdfast.adapters.llm.layer import ModelLayer
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.errors import Misconfigured
from holdfast.ids import new_id
from holdfast.runtime.settings import ModelSettings
from holdfast.testing.embedding import embed_by_words
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Match, Reply, Rule
from schemas.agents import AgentSpec
from schemas.canonical import digest_of
from schemas.chat import TaskClass
from schemas.routing import Errand
from schemas.runs import RunInput
from schemas.stages import (
    Answer,
    AnswerRequest,
    NextMove,
    NextRequest,
    PlanProposal,
    PlanRequest,
    RunScope,
)
from schemas.tools import Catalogue, ToolSpec

PLAN = {"steps": [{"id": "look", "tool": "shell", "arguments": {"command": "df web-1"}}]}
KEY = "sk-a-key-that-must-not-be-seen-0123"


class Runbooks:
    async def plan(self, request: PlanRequest) -> PlanProposal:
        return PlanProposal(by="runbook")

    async def next(self, request: NextRequest) -> NextMove:
        return NextMove(by="runbook")

    async def answer(self, request: AnswerRequest) -> Answer:
        return Answer(text="done")


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    rules = [
        Rule(match=Match(form="review"), replies=(Reply(data={"score": 0.9}),)),
        Rule(match=Match(form="plan"), replies=(Reply(data=PLAN),)),
        Rule(replies=(Reply(text="hello"),)),
    ]
    async with ModelServer(rules, key=KEY) as running:
        yield running


@pytest.fixture
def section(server: ModelServer, tmp_path: Path) -> ModelSettings:
    prices = tmp_path / "prices.json"
    prices.write_text(
        json.dumps({"test-large": {"input": 3, "output": 15}, "test-small": {"input": 1, "output": 2}})
    )
    return ModelSettings(
        default="openai/test-large",
        routes={"judge": "openai/test-small"},
        api_keys={"openai": SecretStr(KEY)},
        api_bases={"openai": server.base_url},
        prices_file=prices,
    )


@pytest.fixture
async def layer(section: ModelSettings, database: Database) -> AsyncIterator[ModelLayer]:
    opened = await ModelLayer.open(section, database=database)
    yield opened
    await opened.close()


async def request(database: Database, goal: str) -> PlanRequest:
    run_input = RunInput(run_id=new_id("run"), tenant="default", goal=goal, agent=AgentSpec(name="operator"))
    await PostgresRuns(database=database).create(run_input)
    schema = {"type": "object", "properties": {"command": {"type": "string"}}}
    return PlanRequest(
        scope=RunScope(tenant="default", run_id=run_input.run_id, agent="operator", environment="dev"),
        goal=goal,
        agent=run_input.agent,
        catalogue=Catalogue(
            tools=(ToolSpec(name="shell", description="Runs a command.", input_schema=schema),)
        ),
        bundle=digest_of("policies"),
    )


async def test_a_plan_is_thought_reviewed_paid_kept_and_reused(
    layer: ModelLayer, database: Database, server: ModelServer
) -> None:
    async def embed(tenant: str, text: str) -> tuple[float, ...]:
        return embed_by_words(text, 32)

    planner = layer.planner(runbook=Runbooks(), embed=embed)
    first = await request(database, "check the disk of web-1")
    proposal = await planner.plan(first)
    assert proposal.by == "test-large"
    assert [call.model for call in server.calls] == ["test-large", "test-small"]
    calls = await layer.spend.calls("default", first.scope.run_id)
    assert [call.task for call in calls] == [TaskClass.PLAN, TaskClass.JUDGE]
    assert proposal.spend_usd == pytest.approx(sum(call.cost_usd or 0 for call in calls))
    async with database.tenant("default") as connection:
        await connection.execute("update runs set status = 'succeeded'")
    again = await planner.plan(await request(database, "check the disk of web-22"))
    assert again.by == "cache"
    assert again.plan is not None
    assert "df web-22" in again.plan.model_dump_json()
    assert len(server.calls) == 2


async def test_no_key_is_stored_anywhere(layer: ModelLayer, database: Database) -> None:
    await layer.planner(runbook=Runbooks()).plan(await request(database, "look"))
    async with database.tenant("default") as connection:
        for table in ("model_calls", "plan_cache", "run_events", "runs"):
            cursor = await connection.execute(
                sql.SQL("select t::text as row from {} t").format(sql.Identifier(table))
            )
            assert not [row for row in await cursor.fetchall() if KEY in row["row"]]


async def test_embeddings_are_paid_for_too(layer: ModelLayer) -> None:
    run = new_id("run")
    reply = await layer.model.embed(Errand(tenant="default", task=TaskClass.EMBED, run_id=run), ["a", "b"])
    assert len(reply.vectors) == 2
    (call,) = await layer.spend.calls("default", run)
    assert (call.status, call.ok) == ("settled", True)


async def test_without_a_model_runbooks_plan(database: Database) -> None:
    layer = await ModelLayer.open(ModelSettings(), database=database)
    proposal = await layer.planner(runbook=Runbooks()).plan(await request(database, "look"))
    assert proposal.by == "runbook"
    assert layer.action_judge() is None


async def test_a_broken_price_file_is_one_clear_error(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text('{"m": {"input": "cheap"}}')
    with pytest.raises(Misconfigured, match="US dollars"):
        await ModelLayer.open(ModelSettings(prices_file=file), database=database)


async def test_an_agents_past_makes_its_tasks_look_harder(layer: ModelLayer, database: Database) -> None:
    assert await layer.spend.past_success("default", "operator", "look") is None
    for status in ("succeeded", "failed"):
        ended = await request(database, "look")
        async with database.tenant("default") as connection:
            await connection.execute(
                "update runs set status = %s where id = %s", (status, ended.scope.run_id)
            )
    assert await layer.spend.past_success("default", "operator", "look") == 0.5
