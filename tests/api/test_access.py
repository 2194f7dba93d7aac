"""Who may do what: every route by every role, keys and their lives, tenants kept apart."""

import asyncio
import re
from collections.abc import Iterator

import httpx
import pytest

from api.access.permissions import RULES, Rule
from api.app import create_app
from api.openapi import documented_routes
from api.routes import docs
from holdfast.errors import BudgetExhausted
from holdfast.ids import new_id
from holdfast.runtime.settings import AuthSettings, Settings
from schemas.access import ROLE_PERMISSIONS, Permission, Role
from schemas.chat import TaskClass
from schemas.routing import Errand, RouteDecision
from schemas.spend import SpendClaim
from tests.api.conftest import RunningApi, reaching, serve, temporal_is_away, until

SAMPLES = {
    "run_id": "run_00000000000000000000000000",
    "approval_id": "apr_00000000000000000000000000",
    "digest": f"sha256:{'0' * 64}",
    "key_id": "0" * 12,
    "tenant": "nobody",
    "name": "nobody",
    "version": "1",
    "memory_id": "mem_00000000000000000000000000",
    "webhook_id": "whk_00000000000000000000000000",
    "ingestion_id": "ing_00000000000000000000000000",
    "delivery_id": f"msg_{'0' * 32}",
}


def address(rule: Rule) -> str:
    return re.sub(r"\{([a-z_]+)(?::path)?\}", lambda found: SAMPLES.get(found[1], "nothing"), rule.path)


def guarded() -> Iterator[Rule]:
    """Rules of plain requests; the socket has tests of its own."""
    return (rule for rule in RULES if not rule.open and not rule.path.endswith("/ws"))


def test_every_route_has_its_rule_and_every_rule_its_route() -> None:
    app = create_app(Settings(), connect=temporal_is_away)
    pages = {("GET", getattr(route, "path", "")) for route in docs.router.routes}
    pages.add(("GET", "/v1/runs/{run_id}/ws"))  # OpenAPI has no words for a socket
    assert documented_routes(app) | pages == {(rule.method, rule.path) for rule in RULES}


def test_no_two_rules_speak_of_the_same_route() -> None:
    named = [(rule.method, rule.path) for rule in RULES]
    assert len(named) == len(set(named))


def test_only_health_the_document_and_its_page_are_open_to_everybody() -> None:
    opened = {rule.path for rule in RULES if rule.open}
    assert opened == {"/livez", "/readyz", "/openapi.json", "/docs"}


def test_every_permission_is_needed_somewhere_and_held_by_somebody() -> None:
    assert frozenset().union(*ROLE_PERMISSIONS.values()) == frozenset(Permission)
    assert ROLE_PERMISSIONS[Role.VIEWER] < ROLE_PERMISSIONS[Role.OPERATOR] < ROLE_PERMISSIONS[Role.ADMIN]
    assert Permission.APPROVALS_DECIDE not in ROLE_PERMISSIONS[Role.OPERATOR]
    assert Permission.TENANTS_WRITE not in ROLE_PERMISSIONS[Role.ADMIN]


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_comes_in_exactly_where_its_permissions_let_it(api: RunningApi, role: Role) -> None:
    async with api.http(await api.new_key(role)) as http:
        for rule in guarded():
            if rule.path == "/v1/events" and rule.permission in ROLE_PERMISSIONS[role]:
                continue  # it would never end
            answer = await http.request(rule.method, address(rule), json={} if rule.method != "GET" else None)
            allowed = rule.permission is None or rule.permission in ROLE_PERMISSIONS[role]
            assert (answer.status_code != 403) == allowed, (rule, answer.text)
            assert answer.status_code < 500, (rule, answer.text)


async def test_a_stranger_is_sent_away_from_every_guarded_route(api: RunningApi) -> None:
    async with api.stranger() as http:
        for rule in guarded():
            answer = await http.request(rule.method, address(rule))
            assert answer.status_code == 401, rule
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer hf_",
        "Bearer hf_000000000000_0000",
        "Basic aGY6aGY=",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer hf_é_x",
    ],
)
async def test_what_is_no_key_of_ours_is_refused(api: RunningApi, header: str) -> None:
    async with api.stranger() as http:
        answer = await http.get("/v1/runs", headers={b"Authorization": header.encode()})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def refused(http: httpx.AsyncClient) -> bool:
    return (await http.get("/v1/runs")).status_code == 401


async def test_a_key_is_shown_once_and_kept_as_a_hash(api: RunningApi) -> None:
    async with api.http() as http:
        made = await http.post("/v1/keys", json={"name": "ci", "roles": ["operator"]})
        token = made.json()["token"]
        assert made.status_code == 201
        assert token not in (await http.get("/v1/keys")).text
    async with api.services.database.tenant("default") as connection:
        cursor = await connection.execute("select * from api_keys where id = %s", (made.json()["id"],))
        row = await cursor.fetchone()
    assert row is not None
    assert token.split("_")[2] not in str(row)
    async with api.http(token) as http:
        me = (await http.get("/v1/whoami")).json()
    assert (me["id"], me["roles"]) == (f"key:{made.json()['id']}", ["operator"])


async def test_a_repeated_request_for_a_key_does_not_show_its_secret_again(api: RunningApi) -> None:
    async with api.http() as http:
        body = {"name": "once", "roles": ["viewer"]}
        headers = {"Idempotency-Key": "one-key-please"}
        first = await http.post("/v1/keys", json=body, headers=headers)
        again = await http.post("/v1/keys", json=body, headers=headers)
        named = [key for key in (await http.get("/v1/keys")).json()["items"] if key["name"] == "once"]
    assert first.status_code == 201
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert len(named) == 1


async def test_a_revoked_key_is_refused_at_once(api: RunningApi) -> None:
    async with api.http() as admin:
        made = (await admin.post("/v1/keys", json={"name": "x", "roles": ["viewer"]})).json()
        async with api.http(made["token"]) as http:
            assert (await http.get("/v1/runs")).status_code == 200
            await admin.delete(f"/v1/keys/{made['id']}")
            assert (await http.get("/v1/runs")).status_code == 401


async def test_an_expired_key_is_refused(api: RunningApi) -> None:
    async with api.http() as admin:
        body = {"name": "x", "roles": ["viewer"], "expires_in_s": 0.05}
        made = (await admin.post("/v1/keys", json=body)).json()
    async with api.http(made["token"]) as http:
        await until(lambda: refused(http))


async def test_after_a_rotation_both_keys_work_until_the_overlap_is_over(api: RunningApi) -> None:
    async with api.http() as admin:
        old = (await admin.post("/v1/keys", json={"name": "x", "roles": ["viewer"]})).json()
        new = (await admin.post(f"/v1/keys/{old['id']}/rotate", json={"overlap_s": 600})).json()
    assert (new["rotated_from"], new["roles"]) == (old["id"], ["viewer"])
    async with api.http(old["token"]) as with_old, api.http(new["token"]) as with_new:
        assert not await refused(with_old)
        async with api.services.database.tenant("default") as connection:
            await connection.execute(
                "update api_keys set expires_at = expires_at - interval '10 minutes' where id = %s",
                (old["id"],),
            )
        await until(lambda: refused(with_old))
        assert (await with_new.get("/v1/runs")).status_code == 200


async def test_scopes_narrow_a_key_below_its_roles(api: RunningApi) -> None:
    async with api.http() as admin:
        body = {"name": "x", "roles": ["admin"], "scopes": ["runs:read"]}
        made = (await admin.post("/v1/keys", json=body)).json()
    async with api.http(made["token"]) as http:
        assert (await http.get("/v1/runs")).status_code == 200
        assert (await http.get("/v1/agents")).status_code == 403


async def test_nobody_gives_away_more_than_they_have(api: RunningApi) -> None:
    async with api.http(await api.new_key("admin")) as http:
        refused = await http.post("/v1/keys", json={"name": "x", "roles": ["platform-admin"]})
        role = await http.put("/v1/roles/sneaky", json={"permissions": ["tenants:write"]})
        unknown = await http.post("/v1/keys", json={"name": "x", "roles": ["no-such-role"]})
    assert (refused.status_code, role.status_code, unknown.status_code) == (403, 403, 422)


async def test_a_custom_role_permits_what_it_lists(api: RunningApi) -> None:
    async with api.http() as admin:
        await admin.put("/v1/roles/auditor", json={"permissions": ["audit:read"]})
        made = (await admin.post("/v1/keys", json={"name": "x", "roles": ["auditor"]})).json()
        async with api.http(made["token"]) as http:
            assert (await http.get("/v1/audit")).status_code == 200
            assert (await http.get("/v1/runs")).status_code == 403
        await admin.delete("/v1/roles/auditor")
        async with api.http(made["token"]) as http:
            assert (await http.get("/v1/audit")).status_code == 403


async def test_a_role_bound_to_an_environment_permits_there_and_nowhere_else(api: RunningApi) -> None:
    async with api.http() as admin:
        await admin.put(
            "/v1/roles/stopper", json={"permissions": ["runs:write", "runs:read", "fleet:freeze"]}
        )
        roles = ["viewer", "operator@staging", "stopper@qa"]
        made = (await admin.post("/v1/keys", json={"name": "x", "roles": roles})).json()
        prod = (await admin.post("/v1/runs", json={"goal": "x", "environment": "prod"})).json()["id"]
    async with api.http(made["token"]) as http:
        assert (await http.get(f"/v1/runs/{prod}")).status_code == 200
        assert (await http.post(f"/v1/runs/{prod}/fork", json={})).status_code == 404
        for environment, status in (("staging", 202), ("qa", 202), ("prod", 403), ("dev", 403)):
            started = await http.post("/v1/runs", json={"goal": "x", "environment": environment})
            assert started.status_code == status, environment
        whole = await http.post("/v1/freezes", json={})
        other = await http.post("/v1/freezes", json={"environment": "staging"})
        own = await http.post("/v1/freezes", json={"environment": "qa"})
        assert (whole.status_code, other.status_code, own.status_code) == (403, 403, 201)
        assert (await http.post("/v1/freezes/thaw", json={"id": own.json()["id"]})).status_code == 200
        me = (await http.get("/v1/whoami")).json()
    assert sorted(me["only_in"]) == ["qa", "staging"]


async def test_who_is_bound_to_an_environment_changes_nothing_that_holds_in_others(api: RunningApi) -> None:
    bound = await api.new_key("admin", environments=("staging",))
    async with api.http() as whole, api.http(bound) as http:
        other = (await whole.post("/v1/keys", json={"name": "x", "roles": ["viewer"]})).json()["id"]
        assert (await http.get(f"/v1/keys/{other}")).status_code == 404
        assert (await http.delete(f"/v1/keys/{other}")).status_code == 404
        assert other not in (await http.get("/v1/keys")).text
        for rule in guarded():
            if rule.everywhere:
                answer = await http.request(rule.method, address(rule), json={})
                assert answer.status_code == 403, rule
        switch = {"enabled": False, "environment": "*"}
        assert (await http.put("/v1/tools/calc/switch", json=switch)).status_code == 403
        wide = await http.post("/v1/keys", json={"name": "x", "roles": ["viewer"]})
        sideways = await http.post("/v1/keys", json={"name": "x", "roles": ["viewer@prod"]})
        own = await http.post("/v1/keys", json={"name": "x", "roles": ["viewer@staging"]})
    assert (wide.status_code, sideways.status_code, own.status_code) == (403, 403, 201)


async def test_a_new_tenant_comes_with_the_one_key_that_opens_it(api: RunningApi) -> None:
    async with api.http() as http:
        made = await http.post("/v1/tenants", json={"tenant": "acme", "title": "Acme", "active_runs": 1})
        twice = await http.post("/v1/tenants", json={"tenant": "acme"})
    assert (made.status_code, twice.status_code) == (201, 409)
    async with api.http(made.json()["first_key"]["token"]) as acme:
        assert (await acme.get("/v1/whoami")).json()["tenant"] == "acme"
        assert (await acme.post("/v1/runs", json={"goal": "one"})).status_code == 202
        over = await acme.post("/v1/runs", json={"goal": "two"})
    assert (over.status_code, over.json()["code"]) == (429, "limit_reached")
    assert over.headers["Retry-After"]


async def test_a_quota_holds_however_many_ask_at_once(api: RunningApi) -> None:
    async with api.http() as http:
        made = await http.post("/v1/tenants", json={"tenant": "crowded", "active_runs": 3})
        async with api.http(made.json()["first_key"]["token"]) as crowded:
            answers = await asyncio.gather(*(crowded.post("/v1/runs", json={"goal": "x"}) for _ in range(12)))
            assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 9
            await http.put("/v1/tenants/crowded", json={"active_runs": 4})
            assert (await crowded.post("/v1/runs", json={"goal": "x"})).status_code == 202


async def test_a_tenants_budget_of_a_day_holds_for_every_call_of_a_model(api: RunningApi) -> None:
    async with api.http() as http:
        made = await http.post("/v1/tenants", json={"tenant": "frugal", "spend_usd_a_day": 0.6})
        async with api.http(made.json()["first_key"]["token"]) as frugal:
            run = (await frugal.post("/v1/runs", json={"goal": "x"})).json()["id"]
            await api.services.spend.reserve(claim("frugal", run, 0.5))
            with pytest.raises(BudgetExhausted):
                await api.services.spend.reserve(claim("frugal", run, 0.5))
            await http.put("/v1/tenants/frugal", json={"spend_usd_a_day": 2})
            await api.services.spend.reserve(claim("frugal", run, 0.5))


def claim(tenant: str, run_id: str, usd: float) -> SpendClaim:
    errand = Errand(tenant=tenant, task=TaskClass.PLAN, run_id=run_id, agent="operator")
    decision = RouteDecision(task=TaskClass.PLAN)
    return SpendClaim(
        call_id=new_id("call"), errand=errand, deployment="m", model="m", amount_usd=usd, decision=decision
    )


async def test_haste_is_answered_with_the_time_to_wait_and_is_counted_across_processes(
    database_url: str, temporal_address: str
) -> None:
    auth = AuthSettings(reads_per_s=0.5)
    async with (
        serve(database_url, reaching(temporal_address), auth=auth) as one,
        serve(database_url, reaching(temporal_address), auth=auth) as other,
    ):
        key = await one.new_key("viewer")
        async with one.http(key) as first, other.http(key) as second:
            statuses = [(await http.get("/v1/runs")).status_code for http in (first, second) * 5]
            late = await first.get("/v1/runs")
        assert statuses.count(200) == 5
        assert (late.status_code, late.json()["retryable"]) == (429, True)
        assert 1 <= int(late.headers["Retry-After"]) <= 2
