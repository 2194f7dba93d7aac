"""Runs that start by the clock: on a real Temporal, with workers that carry them out."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from holdfast.adapters.postgres.agents import PostgresAgents
from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.model_routes import PostgresModelRoutes
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.readings import PostgresReadings
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.runs import Acceptance
from holdfast.runtime.settings import TemporalSettings, WorkerSettings
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.base import JsonObject
from tests.api.conftest import RunningApi, make_tenant, until
from tests.runs.acting import ByName, Forgetful, Script
from workers import pools

PLAN: JsonObject = {"steps": [{"id": "rest", "kind": "wait", "seconds": 0.05}]}


@pytest.fixture(scope="module")
async def workers(api: RunningApi, temporal_address: str) -> AsyncIterator[None]:
    """Enough to carry out a run that only waits."""
    database: Database = api.services.database
    client = await connect(HoldfastPlugin(payloads=PostgresPayloads(database)), address=temporal_address)
    runs = PostgresRuns(database=database)
    orchestration = pools.orchestration(
        story=runs,
        runs=runs,
        artifacts=PostgresArtifacts(database=database),
        guardian=ByName(),
        ledger=PostgresLedger(database=database),
        approvals=PostgresApprovals(database=database),
        fast_tools=RegistryToolHost(Registry([])),
        memory=Forgetful(),
        acceptance=Acceptance(
            agents=PostgresAgents(database=database),
            catalogues=PostgresTools(database=database),
            bundles=PostgresReadings(database=database),
            models=PostgresModelRoutes(database=database),
        ),
    )
    llm = pools.llm(planner=Script(), runs=runs, story=runs)
    async with AsyncExitStack() as stack:
        for pool in (orchestration, llm):
            worker = pool.worker(client, workers=WorkerSettings(drain_s=0.1), temporal=TemporalSettings())
            await stack.enter_async_context(worker)
        yield


def draft(name: str, **fields: object) -> JsonObject:
    run = {"goal": f"goal of {name}", "plan": PLAN, "on_failure": "fail", "environment": "dev"}
    return {"name": name, "run": run, "cron": ["0 3 * * *"], "time_zone": "Europe/Berlin", **fields}


async def listed(http: httpx.AsyncClient, name: str) -> bool:
    return name in [one["name"] for one in (await http.get("/v1/schedules")).json()["items"]]


async def ended_runs(http: httpx.AsyncClient, goal: str) -> list[JsonObject]:
    found = (await http.get("/v1/runs", params={"text": goal, "status": ["succeeded", "failed"]})).json()
    items: list[JsonObject] = found["items"]
    return items


async def test_a_triggered_schedule_starts_a_run_that_ends(api: RunningApi, workers: None) -> None:
    async with api.http() as http:
        made = await http.post("/v1/schedules", json=draft("nightly"))
        assert made.status_code == 201, made.text
        assert made.headers["Location"] == "/v1/schedules/nightly"
        assert (await http.post("/v1/schedules/nightly/trigger", json={})).status_code == 202

        async def done() -> bool:
            return bool(await ended_runs(http, "goal of nightly"))

        await until(done, patience_s=30)
        [run] = await ended_runs(http, "goal of nightly")
        schedule = (await http.get("/v1/schedules/nightly")).json()
        me = (await http.get("/v1/whoami")).json()["id"]
    assert (run["status"], run["requested_by"]) == ("succeeded", me)
    assert [fired["run_id"] for fired in schedule["recent"]] == [run["id"]]
    assert schedule["started"] == 1


async def test_a_backfill_starts_a_run_for_each_time_that_was_due(api: RunningApi, workers: None) -> None:
    stretch = {"start_at": "2026-03-01T00:00:00Z", "end_at": "2026-03-03T00:00:00Z", "overlap": "allow_all"}
    async with api.http() as http:
        await http.post("/v1/schedules", json=draft("backfilled", paused=True))
        filled = await http.post("/v1/schedules/backfilled/backfill", json=stretch)
        assert filled.status_code == 202, filled.text

        async def both() -> bool:
            return len(await ended_runs(http, "goal of backfilled")) == 2

        await until(both, patience_s=30)


async def test_a_schedule_is_told_as_it_was_written_and_knows_when_it_is_due(api: RunningApi) -> None:
    written = draft("told", overlap="buffer_one", every_s=86_400, jitter_s=5, note="why not")
    async with api.http() as http:
        made = (await http.post("/v1/schedules", json=written)).json()
        await until(lambda: listed(http, "told"))
        [seen] = [one for one in (await http.get("/v1/schedules")).json()["items"] if one["name"] == "told"]
    for schedule in (made, seen):
        assert {name: schedule[name] for name in written if name != "run"} == {
            name: value for name, value in written.items() if name != "run"
        }
        assert schedule["run"]["plan"]["steps"][0]["id"] == "rest"
        assert schedule["next"]


async def test_a_paused_schedule_says_so_until_it_goes_on(api: RunningApi) -> None:
    async with api.http() as http:
        await http.post("/v1/schedules", json=draft("resting"))
        paused = (await http.post("/v1/schedules/resting/pause", json={"note": "a holiday"})).json()
        going = (await http.post("/v1/schedules/resting/unpause", json={})).json()
    assert (paused["paused"], paused["note"]) == (True, "a holiday")
    assert going["paused"] is False


async def test_a_deleted_schedule_is_gone_and_its_name_free(api: RunningApi) -> None:
    async with api.http() as http:
        await http.post("/v1/schedules", json=draft("fleeting"))
        assert (await http.post("/v1/schedules", json=draft("fleeting"))).status_code == 409
        assert (await http.delete("/v1/schedules/fleeting")).status_code == 204
        assert (await http.get("/v1/schedules/fleeting")).status_code == 404
        assert (await http.post("/v1/schedules", json=draft("fleeting"))).status_code == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {"cron": []},
        {"cron": ["at noon"]},
        {"time_zone": "Mars/Olympus"},
        {"every_s": 60, "offset_s": 60},
        {"start_at": "2026-01-01T00:00:00"},
        {"unknown": 1},
    ],
)
async def test_a_schedule_that_makes_no_sense_is_refused(api: RunningApi, wrong: JsonObject) -> None:
    async with api.http() as http:
        answer = await http.post("/v1/schedules", json=draft("senseless", **wrong))
    assert answer.status_code == 422, answer.text


async def test_a_schedule_too_large_to_keep_is_refused(api: RunningApi) -> None:
    heavy = draft("heavy")
    heavy["run"]["inputs"] = {"text": "x" * 20_000}
    async with api.http() as http:
        assert (await http.post("/v1/schedules", json=heavy)).status_code == 413


async def test_another_tenant_neither_sees_nor_touches_a_schedule(api: RunningApi) -> None:
    await make_tenant(api, "strangers")
    async with api.http() as ours, api.http(await api.new_key("admin", tenant="strangers")) as theirs:
        await ours.post("/v1/schedules", json=draft("ours"))
        await until(lambda: listed(ours, "ours"))
        assert (await theirs.get("/v1/schedules")).json()["items"] == []
        assert (await theirs.get("/v1/schedules/ours")).status_code == 404
        assert (await theirs.delete("/v1/schedules/ours")).status_code == 404
        for verb in ("pause", "unpause", "trigger"):
            assert (await theirs.post(f"/v1/schedules/ours/{verb}", json={})).status_code == 404
        assert (await theirs.post("/v1/schedules", json=draft("ours"))).status_code == 201
        assert (await ours.get("/v1/schedules/ours")).json()["paused"] is False


async def test_a_key_of_one_environment_reaches_no_schedule_of_another(api: RunningApi) -> None:
    key = await api.new_key("operator", environments=("prod",))
    async with api.http() as admin, api.http(key) as http:
        await admin.post("/v1/schedules", json=draft("of-dev"))
        await until(lambda: listed(admin, "of-dev"))
        assert (await http.post("/v1/schedules", json=draft("mine"))).status_code == 403
        assert (await http.post("/v1/schedules/of-dev/trigger", json={})).status_code == 404
        assert not await listed(http, "of-dev")


async def test_overlap_speaks_of_runs_skipped_while_one_goes_on_and_cancelled_for_the_next(
    api: RunningApi, workers: None
) -> None:
    waits = {
        "goal": "goal of overlapping",
        "plan": {"steps": [{"id": "rest", "kind": "wait", "event": "go"}]},
    }
    async with api.http() as http:
        await http.post("/v1/schedules", json=draft("overlapping", run=waits))

        async def runs(status: str) -> list[str]:
            query = {"text": "goal of overlapping", "status": status}
            return [run["id"] for run in (await http.get("/v1/runs", params=query)).json()["items"]]

        async def skipped() -> bool:
            return bool((await http.get("/v1/schedules/overlapping")).json()["skipped"])

        async def one_is(status: str) -> None:
            async def found() -> bool:
                return len(await runs(status)) == 1

            await until(found, patience_s=30)

        await http.post("/v1/schedules/overlapping/trigger", json={})
        await one_is("running")
        [first] = await runs("running")
        await http.post("/v1/schedules/overlapping/trigger", json={})
        await until(skipped, patience_s=30)
        await http.post("/v1/schedules/overlapping/trigger", json={"overlap": "cancel_other"})
        await one_is("cancelled")
        assert await runs("cancelled") == [first]
        await one_is("running")
        [second] = await runs("running")
        await http.post(f"/v1/runs/{second}/events", json={"name": "go"})
        await one_is("succeeded")


async def test_a_schedule_is_edited_as_it_was_read_and_becomes_its_editors(api: RunningApi) -> None:
    async with api.http() as author, api.http(await api.new_key("admin")) as editor:
        made = await author.post("/v1/schedules", json=draft("edited"))
        match = {"If-Match": made.headers["ETag"]}
        wanted = draft("edited", cron=["30 4 * * *"], time_zone="UTC", paused=True)
        changed = await editor.put("/v1/schedules/edited", json=wanted, headers=match)
        assert changed.status_code == 200, changed.text
        stale = await author.put("/v1/schedules/edited", json=draft("edited"), headers=match)
        read = await author.get("/v1/schedules/edited")
        editor_id = (await editor.get("/v1/whoami")).json()["id"]

        async def listed_anew() -> bool:
            items = (await author.get("/v1/schedules")).json()["items"]
            return [one["cron"] for one in items if one["name"] == "edited"] == [["30 4 * * *"]]

        await until(listed_anew, patience_s=20)
        elsewhere = await author.put("/v1/schedules/other", json=wanted)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert (read.json()["paused"], read.json()["created_by"]) == (True, editor_id)
    assert read.json()["next"] == [] or "T04:30:00Z" in read.json()["next"][0]
    assert read.headers["ETag"] == changed.headers["ETag"]
    assert elsewhere.status_code == 400
