"""What models cost, over HTTP, from rows as a worker writes them."""

import pytest

from holdfast.adapters.postgres.model_breakers import PostgresBreakers
from holdfast.adapters.postgres.plan_cache import PostgresPlanShelf
from holdfast.errors import BudgetExhausted
from holdfast.ids import new_id
from schemas.chat import TaskClass, TokenUsage
from schemas.models import BreakerRule
from schemas.routing import Errand, RouteDecision
from schemas.runs import RunRequest
from schemas.spend import CallOutcome, SpendClaim
from tests.api.conftest import RunningApi, make_tenant


async def call_a_model(api: RunningApi, run_id: str, *, step: str | None = None) -> None:
    errand = Errand(tenant="default", task=TaskClass.PLAN, run_id=run_id, agent="operator", step_id=step)
    claim = SpendClaim(
        call_id=new_id("call"),
        errand=errand,
        deployment="large",
        model="test-large",
        amount_usd=0.5,
        decision=RouteDecision(task=TaskClass.PLAN),
    )
    await api.services.spend.reserve(claim)
    outcome = CallOutcome(ok=True, cost_usd=0.25, usage=TokenUsage(input_tokens=10, output_tokens=5))
    await api.services.spend.settle("default", claim.call_id, outcome)


async def test_the_calls_of_a_run_and_what_they_cost_are_told_to_its_tenant_only(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="think"))
    await call_a_model(api, run.id)
    await make_tenant(api, "misers")
    theirs = api.http(await api.new_key("viewer", tenant="misers"))
    bound = api.http(await api.new_key("viewer", environments=("dev",)))
    async with api.http() as ours, theirs, bound:
        [call] = (await ours.get(f"/v1/runs/{run.id}/model-calls")).json()["items"]
        [spent] = (await ours.get("/v1/models/spend", params={"scope": "run", "subject": run.id})).json()[
            "items"
        ]
        assert (await theirs.get(f"/v1/runs/{run.id}/model-calls")).status_code == 404
        assert (await theirs.get("/v1/models/spend")).json()["items"] == []
        scopes = {one["scope"] for one in (await bound.get("/v1/models/spend")).json()["items"]}
    assert (call["deployment"], call["status"], call["cost_usd"]) == ("large", "settled", 0.25)
    assert (spent["spent_usd"], spent["reserved_usd"]) == (0.25, 0)
    assert scopes == {"agent", "tenant"}


async def test_a_deployment_that_failed_is_told_with_its_health(api: RunningApi) -> None:
    breakers = PostgresBreakers(database=api.services.database, rule=BreakerRule(failures=1))
    await breakers.report("shaky", failure="timeout")
    async with api.http() as http:
        found = (await http.get("/v1/models/breakers")).json()["items"]
    assert [(one["deployment"], one["state"]) for one in found] == [("shaky", "open")]


async def test_what_routes_learn_from_and_what_plans_were_kept_is_told(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="think"))
    await call_a_model(api, run.id)
    await PostgresPlanShelf(database=api.services.database).count("default", "miss")
    async with api.http() as http:
        records = (await http.get("/v1/models/records")).json()["items"]
        assert (await http.get("/v1/models/experiments/none-yet")).json()["items"] == []
        assert (await http.get("/v1/models/plan-cache")).json()["miss"] == 1
        metrics = (await http.get("/metrics")).text
    [record] = [one for one in records if one["deployment"] == "large"]
    assert record["task"] == "plan"
    assert 0 < record["at_least"] < record["at_most"] == 1
    assert 'holdfast_plan_cache{outcome="miss"} 1.0' in metrics
    assert 'holdfast_model_calls{deployment="large",outcome="ok",task="plan"}' in metrics


async def test_an_agents_budget_is_set_over_http_and_holds(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="think"))
    limit = {"agent": "operator", "period": "total", "limit_usd": 0.1}
    async with api.http(await api.new_key("viewer")) as viewer:
        assert (await viewer.put("/v1/models/limits", json=limit)).status_code == 403
    async with api.http() as http:
        assert (await http.put("/v1/models/limits", json=limit)).json()["subject"] == "operator"
        with pytest.raises(BudgetExhausted, match="agent operator"):
            await call_a_model(api, run.id)
        await http.put("/v1/models/limits", json=limit | {"limit_usd": 1000})


async def test_a_steps_cost_is_told_with_its_runs(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="think"))
    await call_a_model(api, run.id, step="move_1")
    async with api.http() as http:
        cost = (await http.get(f"/v1/runs/{run.id}/cost")).json()
    assert [(one["step_id"], one["model_calls"], one["cost_usd"]) for one in cost["steps"]] == [
        ("move_1", 1, 0.25)
    ]


async def test_a_deployment_left_alone_is_seen_by_prometheus(api: RunningApi) -> None:
    breakers = PostgresBreakers(database=api.services.database, rule=BreakerRule(failures=1))
    await breakers.report("away", failure="timeout")
    async with api.http() as http:
        assert (
            'holdfast_model_breaker{deployment="away",state="open"} 1.0' in (await http.get("/metrics")).text
        )
