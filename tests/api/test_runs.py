"""Runs over HTTP: accepted, listed, read, refused."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from api import engine
from api.start import make_good
from holdfast.adapters.postgres.database import Database
from holdfast.errors import Conflict, NotFound, Unavailable
from schemas.access import Principal
from schemas.events import EventType
from schemas.runs import RunRequest, RunStatus
from tests.api.conftest import RunningApi, end_run, make_tenant, reaching, serve, temporal_is_away


async def test_an_accepted_run_is_written_down_and_its_workflow_is_started(
    api: RunningApi, temporal_client: object
) -> None:
    async with api.http() as http:
        answer = await http.post("/v1/runs", json={"goal": "look around"})
    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["Location"] == f"/v1/runs/{run['id']}"
    assert (run["status"], run["goal"], run["last_seq"]) == ("queued", "look around", 1)
    described = await (await api.services.engine.client()).get_workflow_handle(run["id"]).describe()
    assert described.workflow_type == "AgentRun"


async def test_the_built_in_agent_may_be_delegated_to(api: RunningApi) -> None:
    async with api.http() as http:
        await http.post("/v1/agents", json={"name": "lead", "delegates": ["operator"]})
        started = await http.post("/v1/runs", json={"goal": "x", "agent": "lead"})
        unknown = await http.post("/v1/agents", json={"name": "lost", "delegates": ["nobody"]})
        refused = await http.post("/v1/runs", json={"goal": "x", "agent": "lost"})
    assert (started.status_code, unknown.status_code, refused.status_code) == (202, 201, 422)


async def test_a_run_can_be_read_where_its_location_says(api: RunningApi) -> None:
    async with api.http() as http:
        answer = await http.post("/v1/runs", json={"goal": "look around"})
        again = await http.get(answer.headers["Location"])
    assert again.json()["id"] == answer.json()["id"]


async def test_waiting_for_a_run_that_does_not_end_answers_with_202_in_time(api: RunningApi) -> None:
    since = datetime.now(UTC)
    async with api.http() as http:
        answer = await http.post("/v1/runs", params={"wait": 0.3}, json={"goal": "wait"})
    assert answer.status_code == 202
    assert datetime.now(UTC) - since < timedelta(seconds=5)


async def test_without_temporal_the_answer_is_503_and_nothing_stays_behind(database_url: str) -> None:
    async with serve(database_url, temporal_is_away) as api:
        holdfast = api.client()
        async with api.http() as http:
            answer = await http.post("/v1/runs", json={"goal": "look around"})
            assert (answer.status_code, answer.json()["retryable"]) == (503, True)
            assert answer.headers["Retry-After"]
            assert (await http.get("/v1/runs")).json()["items"] == []
        with pytest.raises(Unavailable):
            await holdfast.runs.start(RunRequest(goal="again"))


async def test_a_temporal_that_says_nothing_is_away_in_good_time(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def says_nothing(_database: Database) -> Client:
        return await asyncio.Future[Client]()

    monkeypatch.setattr(engine, "_RPC", timedelta(seconds=0.2))
    async with serve(database_url, says_nothing) as api, api.http() as http:
        answers = await asyncio.gather(*(http.post("/v1/runs", json={"goal": "x"}) for _ in range(3)))
        assert {answer.status_code for answer in answers} == {503}
        assert (await http.get("/v1/runs")).json()["items"] == []


async def test_a_start_that_was_taken_back_and_arrived_late_does_not_block_its_repetition(
    api: RunningApi, temporal_client: Client
) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    async with api.http() as http:
        made = (await http.post("/v1/runs", json={"goal": "x"}, headers=key)).json()["id"]
        ghost = temporal_client.get_workflow_handle(made)
        await ghost.terminate("it found no row")
        await api.services.runs.discard("default", made)
        async with api.services.database.tenant("default") as connection:
            await connection.execute(
                """update idempotency_keys set response_status = null, response = null,
                   lease_until = now() - interval '1 second' where key = %s""",
                (key["Idempotency-Key"],),
            )
        again = (await http.post("/v1/runs", json={"goal": "x"}, headers=key)).json()["id"]
    assert again == made
    described = await temporal_client.get_workflow_handle(made).describe()
    assert described.status is WorkflowExecutionStatus.RUNNING


async def test_a_list_is_read_page_by_page_and_shows_every_run_once(api: RunningApi) -> None:
    holdfast = api.client()
    started = [
        (await holdfast.runs.start(RunRequest(goal=f"n {number}", labels={"set": "pages"}))).id
        for number in range(5)
    ]
    seen, cursor = [], None
    while True:
        page = await holdfast.runs.page(cursor=cursor, limit=2, filters={"label": "set=pages"})
        assert len(page.items) <= 2
        seen += [run.id for run in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == started[::-1]


@pytest.mark.parametrize("sort", ["created_at", "ended_at", "status", "spend_usd"])
@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_a_sorted_list_is_whole_and_in_its_order(api: RunningApi, sort: str, order: str) -> None:
    """Also among equals: three of six have ended at one moment, and cost the same."""
    holdfast, moment = api.client(), datetime(2026, 3, 1, tzinfo=UTC)
    label = {"sorted": f"{sort}-{order}"}
    for number in range(6):
        run = await holdfast.runs.start(RunRequest(goal=f"n {number}", labels=label))
        spent, ended = (0.25, moment) if number % 2 else (number / 10, None)
        async with api.services.database.tenant("default") as connection:
            await connection.execute(
                "update runs set spend_usd = %s, ended_at = %s, status = %s where id = %s",
                (spent, ended, "failed" if ended else "running", run.id),
            )
    filters = {"label": f"sorted={label['sorted']}", "sort": sort, "order": order}
    page = await holdfast.runs.page(limit=2, filters=filters)
    seen = [*page.items]
    while page.next is not None:
        page = await holdfast.runs.page(cursor=page.next, limit=2, filters=filters)
        seen += page.items
    never = datetime.max.replace(tzinfo=UTC)
    keys = [((run.ended_at or never) if sort == "ended_at" else getattr(run, sort), run.id) for run in seen]
    assert len({run.id for run in seen}) == 6
    assert keys == sorted(keys, reverse=order == "newest")


async def test_a_cursor_of_another_order_is_refused(api: RunningApi) -> None:
    holdfast = api.client()
    for number in range(2):
        await holdfast.runs.start(RunRequest(goal=f"n {number}"))
    following = (await holdfast.runs.page(limit=1, filters={"sort": "spend_usd"})).next
    async with api.http() as http:
        for sort in ("created_at", "ended_at", "status"):
            answer = await http.get("/v1/runs", params={"cursor": following, "sort": sort})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_filters_narrow_a_list(api: RunningApi) -> None:
    holdfast = api.client()
    wanted = await holdfast.runs.start(
        RunRequest(goal="100% of a_disk", environment="staging", thread="t-1", labels={"team": "db"})
    )
    await holdfast.runs.start(RunRequest(goal="100 of adisk", environment="prod", labels={"team": "web"}))
    for filters in (
        {"text": "100% of a_"},
        {"environment": ["staging", "other"]},
        {"thread": "t-1"},
        {"label": ["team=db"]},
        {"status": ["queued"], "environment": "staging"},
    ):
        page = await holdfast.runs.page(filters=filters)
        assert [run.id for run in page.items] == [wanted.id], filters


@pytest.mark.parametrize("cursor", ["x", "!!!", "bnVsbA", "WzEsMl0", "eyJhIjoxfQ"])
async def test_a_cursor_that_is_none_of_ours_is_refused(api: RunningApi, cursor: str) -> None:
    async with api.http() as http:
        answer = await http.get("/v1/runs", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_a_run_of_another_tenant_does_not_exist(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="mine"))
    await make_tenant(api, "other")
    stranger = api.client(await api.new_key("admin", tenant="other"))
    with pytest.raises(NotFound):
        await stranger.runs.read(run.id)
    assert not (await stranger.runs.page()).items


async def test_a_run_in_an_environment_that_is_not_ones_own_does_not_exist(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="mine", environment="prod"))
    narrow = api.client(await api.new_key("operator", environments=("dev",)))
    with pytest.raises(NotFound):
        await narrow.runs.read(run.id)
    async with api.http(await api.new_key("operator", environments=("dev",))) as http:
        refused = await http.post("/v1/runs", json={"goal": "x", "environment": "prod"})
        listed = await http.get("/v1/runs", params={"environment": "prod"})
    assert refused.status_code == 403
    assert all(item["environment"] == "dev" for item in listed.json()["items"])


async def test_what_a_dying_process_accepted_is_started_by_the_next(
    database_url: str, temporal_address: str
) -> None:
    async with serve(database_url, reaching(temporal_address)) as api:
        held = api.services
        run_input = await held.acceptance.accept(
            RunRequest(goal="forgotten"), Principal(tenant="default", id="key:x")
        )
        await held.runs.create(run_input)
        async with held.database.tenant("default") as connection:
            await connection.execute("update runs set created_at = now() - interval '1 hour'")
        task = asyncio.create_task(make_good(held))
        client = await held.engine.client()
        while True:
            try:
                await client.get_workflow_handle(run_input.run_id).describe()
                break
            except RPCError:  # not there yet
                await asyncio.sleep(0.02)
        task.cancel()


async def test_an_ended_run_takes_no_more_commands(api: RunningApi, temporal_client: Client) -> None:
    holdfast = api.client()
    run = await holdfast.runs.start(RunRequest(goal="x"))
    await temporal_client.get_workflow_handle(run.id).terminate()
    await end_run(api, run.id, RunStatus.FAILED)
    with pytest.raises(Conflict, match="has ended"):
        await holdfast.runs.pause(run.id)
    with pytest.raises(Conflict, match="has ended"):
        await holdfast.runs.instruct(run.id, "hurry")


async def test_a_run_that_is_taken_up_again_is_under_way_at_once(
    api: RunningApi, temporal_client: Client
) -> None:
    """No worker is up that could say so."""
    holdfast = api.client()
    run = await holdfast.runs.start(RunRequest(goal="x"))
    await temporal_client.get_workflow_handle(run.id).terminate()
    await end_run(api, run.id, RunStatus.FAILED)
    await holdfast.runs.resume(run.id)
    assert (await holdfast.runs.read(run.id)).status is RunStatus.RUNNING
    *_, ended, taken_up = await api.services.runs.events("default", run.id)
    assert (ended.type, taken_up.type) == (EventType.RUN_ENDED, EventType.RUN_STATUS)
    assert taken_up.data["reason"].startswith("taken up again by key:")


async def test_a_resumption_waits_for_an_execution_in_its_last_moment(
    api: RunningApi, temporal_client: Client
) -> None:
    """A run tells its end before its execution is over."""
    holdfast = api.client()
    run = await holdfast.runs.start(RunRequest(goal="x"))
    await end_run(api, run.id, RunStatus.FAILED)
    taken_up = asyncio.create_task(holdfast.runs.resume(run.id))
    done, _ = await asyncio.wait({taken_up}, timeout=0.3)
    assert not done
    await temporal_client.get_workflow_handle(run.id).terminate()
    await taken_up
    assert (await holdfast.runs.read(run.id)).status is RunStatus.RUNNING


async def test_a_fork_begins_with_what_a_resumption_changed(api: RunningApi, temporal_client: Client) -> None:
    run = await api.client().runs.start(RunRequest(goal="x", inputs={"host": "a", "port": 1}))
    await temporal_client.get_workflow_handle(run.id).terminate()
    await end_run(api, run.id, RunStatus.FAILED)
    async with api.http() as http:
        changed = {"inputs": {"host": "b"}, "limits": {"steps": 7}}
        resumed = await http.post(f"/v1/runs/{run.id}/resume", json=changed)
        assert resumed.status_code == 200, resumed.text
        await end_run(api, run.id, RunStatus.FAILED)
        forked = (await http.post(f"/v1/runs/{run.id}/fork", json={"inputs": {"path": "/"}})).json()
    start = await api.services.runs.start_input("default", forked["id"])
    assert start.inputs == {"host": "b", "port": 1, "path": "/"}
    assert start.limits.steps == 7
