"""What models cost, over HTTP, from rows as a worker writes them."""

from holdfast.adapters.postgres.model_breakers import PostgresBreakers
from holdfast.ids import new_id
from schemas.models import (
    BreakerRule,
    CallOutcome,
    Errand,
    RouteDecision,
    SpendClaim,
    TaskClass,
    TokenUsage,
)
from schemas.runs import RunRequest
from tests.api.conftest import RunningApi, make_tenant


async def call_a_model(api: RunningApi, run_id: str) -> None:
    errand = Errand(tenant="default", task=TaskClass.PLAN, run_id=run_id, agent="operator")
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
        assert (await theirs.get("/v1/models/spend")).json() == {"items": []}
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
