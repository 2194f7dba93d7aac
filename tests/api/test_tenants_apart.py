"""Tenants apart: another tenant's administrator tries every route on everything that is ours, and finds nothing."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from api.access.permissions import RULES, Rule
from holdfast.client.sse import read_events
from schemas.base import JsonObject
from schemas.runs import RunStatus
from tests.api.conftest import RunningApi, end_run, make_tenant
from tests.api.test_approvals import ask

MARK = "swordfish"
NAME = "ours-apart"
"""Schedules of all test modules stand in one Temporal."""
POLICY: JsonObject = {
    "name": NAME,
    "effect": "deny",
    "when": "'ls' in facts.binaries",
    "message": MARK,
    "examples": {
        "match": [{"arguments": {"command": "ls"}}],
        "not_match": [{"arguments": {"command": "df -h"}}],
    },
}
SCHEDULE: JsonObject = {"name": NAME, "run": {"goal": MARK}, "cron": ["0 3 * * *"], "paused": True}
WEBHOOK: JsonObject = {"url": f"https://{MARK}.example/", "events": ["run.ended"]}
DAY = {"start_at": "2026-03-01T00:00:00Z", "end_at": "2026-03-02T00:00:00Z"}
BODIES: dict[str, JsonObject] = {
    "POST /v1/runs/{run_id}/events": {"name": "done"},
    "POST /v1/runs/{run_id}/instructions": {"text": "stop"},
    "POST /v1/runs/{run_id}/feedback": {"verdict": "up"},
    "POST /v1/approvals/{approval_id}/delegations": {"to": "theirs"},
    "PUT /v1/agents/{name}": {"name": NAME},
    "PUT /v1/policies/{name}": {"document": {**POLICY, "message": "theirs"}},
    "PUT /v1/tools/{name}/switch": {"enabled": False},
    "PUT /v1/roles/{name}": {"permissions": ["runs:read"]},
    "PUT /v1/webhooks/{webhook_id}": {"url": "https://theirs.example/"},
    "PUT /v1/schedules/{name}": {**SCHEDULE, "run": {"goal": "theirs"}},
    "POST /v1/schedules/{name}/backfill": DAY,
    "PATCH /v1/memory/{memory_id}": {"text": "theirs"},
    "POST /v1/memory/{memory_id}/rollback": {"version": 1},
    "POST /v1/memory/search": {"text": MARK},
    "POST /v1/runbooks/search": {"query": MARK},
    "POST /v1/runbook/rollback": {"id": NAME, "version": 1},
}
QUERIES: dict[str, str] = {
    "/v1/runbook": f"?id={NAME}",
    "/v1/runbook/versions": f"?id={NAME}",
    "/v1/policies/{name}/diff": "?before=1&after=1",
    "/v1/runs": f"?text={MARK}",
}
OF_THEIR_OWN = {"PUT /v1/roles/{name}", "DELETE /v1/roles/{name}", "GET /v1/models/experiments/{name}"}
"""What these name is the caller's own, whether it exists or not."""


@dataclass
class Ours:
    """One of everything, and where each is read."""

    samples: dict[str, str]
    digest: str

    @property
    def places(self) -> tuple[str, ...]:
        at = self.samples
        return (
            f"/v1/runs/{at['run_id']}",
            f"/v1/runs/{at['run_id']}/verdicts",
            f"/v1/runs/{at['run_id']}/story",
            f"/v1/approvals/{at['approval_id']}",
            f"/v1/agents/{NAME}/versions",
            f"/v1/policies/{NAME}/versions",
            "/v1/policy-bundles",
            "/v1/freezes",
            f"/v1/roles/{NAME}",
            f"/v1/webhooks/{at['webhook_id']}",
            f"/v1/webhooks/{at['webhook_id']}/deliveries",
            f"/v1/schedules/{NAME}",
            f"/v1/runbook/versions?id={NAME}",
            f"/v1/memory/{at['memory_id']}/versions",
            "/v1/memory-snapshots",
            f"/v1/ingestions/{at['ingestion_id']}",
        )


@pytest.fixture(scope="module")
async def ours(api: RunningApi) -> AsyncIterator[Ours]:
    async with api.http() as http:

        async def made(path: str, body: JsonObject) -> JsonObject:
            answer = await http.post(path, json=body)
            assert answer.is_success, (path, answer.text)
            found: JsonObject = answer.json()
            return found

        webhook = await made("/v1/webhooks", WEBHOOK)
        run = await made("/v1/runs", {"goal": MARK, "inputs": {"word": MARK}})
        await end_run(api, run["id"], RunStatus.FAILED)
        question = await ask(api)
        key = await made("/v1/keys", {"name": MARK, "roles": ["viewer"]})
        await made("/v1/agents", {"name": NAME, "description": MARK})
        await made("/v1/policies", {"document": POLICY})
        await made("/v1/policy-bundles/activate", {"policies": [{"name": NAME, "version": 1}], "note": MARK})
        freeze = await made("/v1/freezes", {"environment": "nowhere", "reason": MARK})
        await http.put(f"/v1/roles/{NAME}", json={"permissions": ["audit:read"], "description": MARK})
        await made("/v1/schedules", SCHEDULE)
        await made(
            "/v1/runbooks",
            {"documents": [{"id": NAME, "text": f"# {MARK}\n\n{MARK} it.", "media": "markdown"}]},
        )
        document = {"id": "ours-too", "text": f"# {MARK}", "media": "markdown"}
        ingestion = await made("/v1/ingestions", {"documents": [document]})
        await made("/v1/memory-snapshots", {"name": NAME, "note": MARK})
        memory = await made("/v1/memory", {"kind": "fact", "text": MARK})
        (message,) = (await http.get(f"/v1/webhooks/{webhook['id']}/deliveries")).json()["items"]
        samples = {
            "run_id": run["id"],
            "approval_id": question.id,
            "key_id": key["id"],
            "webhook_id": webhook["id"],
            "delivery_id": message["id"],
            "memory_id": memory["id"],
            "freeze_id": freeze["id"],
            "consensus_id": run["id"],
            "ingestion_id": ingestion["id"],
            "name": NAME,
            "version": "1",
            "tenant": "default",
            "deployment": "house",
            "digest": f"sha256:{'0' * 64}",
        }
        yield Ours(samples, question.digest)


async def test_another_tenants_administrator_neither_sees_nor_changes_anything_of_ours(
    api: RunningApi, ours: Ours
) -> None:
    await make_tenant(api, "rivals")
    rules = [rule for rule in RULES if not rule.open and rule.route_class != "stream"]
    async with api.http() as us, api.http(await api.new_key("admin", tenant="rivals")) as them:
        before = await _read(us, ours)
        for rule in rules:
            answer = await _try(them, rule, ours)
            named = f"{rule.method} {rule.path}"
            assert MARK not in answer.text, (named, answer.text)
            if "{" in rule.path and named not in OF_THEIR_OWN:
                assert answer.status_code in (403, 404), (named, answer.status_code, answer.text)
        thawed = await them.post("/v1/freezes/thaw", json={"id": ours.samples["freeze_id"]})
        assert thawed.json() == {"items": [], "next": None}
        assert await _read(us, ours) == before


async def test_another_tenants_streams_tell_nothing_of_ours(api: RunningApi, ours: Ours) -> None:
    await make_tenant(api, "rivals")
    async with api.http(await api.new_key("admin", tenant="rivals")) as them:
        run = await them.get(f"/v1/runs/{ours.samples['run_id']}/events")
        tenant = await them.get("/v1/events?after=0&follow=false")
    assert run.status_code == 404
    assert MARK not in tenant.text
    async with api.http() as us:
        told = await us.get("/v1/events?after=0&follow=false")
    assert MARK in told.text
    assert [event async for event in read_events(_lines(tenant.text))] == []


async def _try(http: httpx.AsyncClient, rule: Rule, ours: Ours) -> httpx.Response:
    path = re.sub(r"\{([a-z_]+)(?::path)?\}", lambda found: ours.samples[found[1]], rule.path)
    body = BODIES.get(f"{rule.method} {rule.path}", {})
    if rule.path.endswith("/decision"):
        body = {"decision": "approve", "digest": ours.digest}
    sent = None if rule.method in ("GET", "DELETE") else body
    return await http.request(rule.method, path + QUERIES.get(rule.path, ""), json=sent)


async def _read(http: httpx.AsyncClient, ours: Ours) -> dict[str, JsonObject]:
    """Everything of ours as it stands. It all has to be there."""
    found = {}
    for place in ours.places:
        answer = await http.get(place)
        assert answer.status_code == 200, (place, answer.text)
        found[place] = answer.json()
    return found


async def _lines(text: str) -> AsyncIterator[str]:
    for line in text.split("\n"):
        yield line
