"""`holdfast models`, against a real API: it asks that, and no database."""

import json
from pathlib import Path

from holdfast.adapters.postgres.model_breakers import PostgresBreakers
from schemas.models import BreakerRule
from schemas.runs import RunRequest
from tests.api.conftest import RunningApi
from tests.api.test_models import call_a_model
from tests.cli.commands import holdfast

EXAMPLE = Path(__file__).parents[2] / "examples" / "models.yaml"


async def test_what_calls_cost_and_why_is_told(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="think"))
    await call_a_model(api, run.id)
    explained = await holdfast(api, "models", "explain", run.id)
    assert "plan       large" in explained.out, explained.err
    assert "0.250000 USD" in explained.out
    (call,) = (await holdfast(api, "models", "explain", run.id, "--json")).out.splitlines()
    assert json.loads(call)["deployment"] == "large"
    assert "may spend 5 USD" in (await holdfast(api, "models", "limit", "operator", "5")).out
    assert "of 5" in (await holdfast(api, "models", "spend", "--scope", "agent")).out
    assert "succeeds in" in (await holdfast(api, "models", "records")).out


async def test_a_price_is_set_and_a_deployment_called_again_by_the_platforms_people_only(
    api: RunningApi,
) -> None:
    breakers = PostgresBreakers(database=api.services.database, rule=BreakerRule())
    await breakers.report("house", failure="authentication")
    admin = await api.new_key("admin")
    for words in (("prices", "house", "--input", "1"), ("retry", "house")):
        refused = await holdfast(api, "models", *words, key=admin)
        assert (refused.code, "models:operate" in refused.err) == (1, True)
    priced = await holdfast(api, "models", "prices", "house", "--input", "1", "--output", "3")
    assert "1 / 3 USD" in priced.out
    assert "called again" in (await holdfast(api, "models", "retry", "house")).out
    unknown = await holdfast(api, "models", "retry", "nobody")
    assert (unknown.code, "No deployment nobody" in unknown.err) == (1, True)


async def test_without_a_model_the_list_says_who_plans(api: RunningApi) -> None:
    assert "runbooks plan" in (await holdfast(api, "models", "ls")).out
    assert (await holdfast(api, "models", "ls", "--json")).out == ""


async def test_a_models_file_is_checked_without_an_api(api: RunningApi, tmp_path: Path) -> None:
    away = {"HOLDFAST_API_URL": "http://127.0.0.1:9"}
    done = await holdfast(api, "models", "check", str(EXAMPLE), "--json", environment=away, folder=tmp_path)
    meaning = json.loads(done.out)
    assert [each["name"] for each in meaning["deployments"]] == ["large", "small", "house"]
    assert meaning["routes"]["plan"]["order"] == ["large", "small", "house"]
