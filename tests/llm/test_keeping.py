"""A run keeps the routes it began with; what is said about models later may only take away from them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.adapters.llm.layer import ModelLayer
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.model_routes import PostgresModelRoutes
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.ids import new_id
from holdfast.llm.failures import NoModelAnswers
from holdfast.llm.panels.sitting import Occasion
from holdfast.runtime.settings import ModelSettings as Section
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Match, Reply, Rule
from schemas.agents import AgentSpec
from schemas.chat import ChatMessage, ChatRequest, TaskClass
from schemas.panels import PanelRequest
from schemas.routing import Errand
from schemas.runs import RunInput

HELLO = ChatRequest(messages=(ChatMessage(role="user", content="hello"),))


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer([Rule(replies=(Reply(text="hi"),))]) as running:
        yield running


class House:
    """One database and its llm worker, which starts anew with each models file."""

    def __init__(self, database: Database, server: ModelServer, folder: Path) -> None:
        self.database, self.server, self.folder = database, server, folder

    async def worker(self, models: str, routes: str) -> ModelLayer:
        deployments = "\n".join(
            f"  - {{name: {name}, model: {model}, via: openai, base_url: '{self.server.base_url}', "
            "price: {input: 1, output: 1}}"
            for name, model in (pair.split("=") for pair in models.split())
        )
        path = self.folder / "models.yaml"
        path.write_text(f"deployments:\n{deployments}\nroutes: {routes}\n")
        return await ModelLayer.open(Section.model_validate({"file": path}), database=self.database)

    async def begin(self) -> str:
        routes = await PostgresModelRoutes(database=self.database).current()
        run_input = RunInput(
            run_id=new_id("run"), tenant="default", goal="g", agent=AgentSpec(name="operator"), models=routes
        )
        await PostgresRuns(database=self.database).create(run_input)
        return run_input.run_id


@pytest.fixture
def house(database: Database, server: ModelServer, tmp_path: Path) -> House:
    return House(database, server, tmp_path)


def errand(run_id: str) -> Errand:
    return Errand(tenant="default", task=TaskClass.PLAN, run_id=run_id)


async def asked(layer: ModelLayer, run_id: str) -> str:
    return (await layer.model.chat(errand(run_id), HELLO)).deployment


async def test_a_run_keeps_its_routes_and_a_new_one_takes_those_of_now(house: House) -> None:
    before = await house.worker("old=a other=b", "{plan: [old, other]}")
    run = await house.begin()
    await before.close()
    now = await house.worker("new=c old=a other=b", "{plan: [new, other]}")
    assert await asked(now, run) == "old"
    assert await asked(now, await house.begin()) == "new"
    await now.close()


async def test_a_withdrawn_deployment_is_never_called_and_the_explanation_says_so(house: House) -> None:
    before = await house.worker("old=a other=b", "{plan: [old, other]}")
    run = await house.begin()
    await before.close()
    now = await house.worker("new=c other=b", "{plan: [new, other]}")
    assert await asked(now, run) == "other"
    (call,) = await now.spend.calls("default", run)
    assert [(each.deployment, each.code) for each in call.decision.excluded] == [("old", "withdrawn")]
    assert {seen.body["model"] for seen in house.server.calls} == {"b"}
    await now.close()


async def test_a_name_that_became_another_model_is_withdrawn(house: House) -> None:
    before = await house.worker("old=a", "{plan: [old]}")
    run = await house.begin()
    await before.close()
    now = await house.worker("old=z", "{plan: [old]}")
    with pytest.raises(NoModelAnswers, match="it was a when the run began, and is z now") as told:
        await asked(now, run)
    assert "fork" in told.value.remedy
    assert not house.server.calls
    await now.close()


async def test_limits_of_now_hold_beside_those_of_the_start(house: House) -> None:
    before = await house.worker("old=a other=b", "{plan: [old, other]}")
    run = await house.begin()
    await before.close()
    now = await house.worker("old=a other=b", "{plan: {deployments: [old], max_cost_usd: 0.0000001}}")
    with pytest.raises(Exception, match="may cost more"):
        await asked(now, run)
    await now.close()


async def test_a_panel_seats_the_models_of_the_start(house: House) -> None:
    before = await house.worker("one=a two=b", "{}")
    run = await house.begin()
    await before.close()
    now = await house.worker("one=a two=b three=c", "{}")
    house.server.rules.insert(0, Rule(match=Match(form="voice"), replies=(Reply(data={"answer": "yes"}),)))
    result = await now.panel().convene(
        Occasion(tenant="default", run_id=run), PanelRequest(question="Is it?")
    )
    assert [voice.deployment for voice in result.voices] == ["one", "two"]
    await now.close()


async def test_a_run_that_began_without_models_takes_those_of_now(house: House) -> None:
    run = await house.begin()
    now = await house.worker("new=c", "{}")
    assert await asked(now, run) == "new"
    await now.close()
