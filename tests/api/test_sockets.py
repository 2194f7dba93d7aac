"""A run over WebSocket, a whole tenant as one stream, and pieces of a model's words."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from holdfast.adapters.postgres.feed import tell_delta
from holdfast.client.sse import ServerEvent, read_events
from holdfast.runtime.settings import Queue
from schemas.events import ModelDelta
from schemas.problems import MEDIA_TYPE
from schemas.runs import RunRequest, RunStatus
from tests.api.conftest import (
    RunningApi,
    end_run,
    make_tenant,
    serve,
    tell,
    temporal_is_away,
    until,
)


def socket(api: RunningApi, path: str, key: str | None = None) -> connect:
    headers = {"Authorization": f"Bearer {key or api.key}"}
    return connect(api.url.replace("http", "ws") + path, additional_headers=headers)


async def test_a_socket_tells_the_story_and_closes_after_its_end(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    async with socket(api, f"/v1/runs/{run.id}/ws") as open_socket:
        assert json.loads(await open_socket.recv())["seq"] == 1
        await tell(api, run.id, "run.message")
        await end_run(api, run.id)
        assert [json.loads(await open_socket.recv())["seq"] for _ in range(2)] == [2, 3]
        with pytest.raises(ConnectionClosed) as closed:
            await open_socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


async def test_a_socket_goes_on_after_a_number(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    await tell(api, run.id, "run.message")
    await end_run(api, run.id)
    async with socket(api, f"/v1/runs/{run.id}/ws?after=2") as open_socket:
        assert json.loads(await open_socket.recv())["seq"] == 3


async def test_a_socket_shows_what_a_model_writes(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    async with socket(api, f"/v1/runs/{run.id}/ws") as open_socket:
        await open_socket.recv()
        step = {"id": "look", "kind": "tool", "tool": "shell"}
        await tell_delta(api.services.database, tenant="default", run_id=run.id, data={"step": step})
        shown = ModelDelta.model_validate_json(await open_socket.recv())
        assert (shown.type, shown.step) == ("model.delta", step)
        await end_run(api, run.id)
        assert json.loads(await open_socket.recv())["type"] == "run.ended"


async def test_a_socket_after_the_last_event_of_an_ended_run_closes_at_once(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    await end_run(api, run.id)
    async with socket(api, f"/v1/runs/{run.id}/ws?after=2") as open_socket:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(open_socket.recv(), 10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


@pytest.mark.parametrize("query", ["after=soon", "after=-1", "before=2"])
async def test_a_socket_that_cannot_be_meant_is_refused_in_words(api: RunningApi, query: str) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    with pytest.raises(InvalidStatus) as refused:
        async with socket(api, f"/v1/runs/{run.id}/ws?{query}"):
            pass
    assert refused.value.response.status_code == 422
    assert json.loads(refused.value.response.body or b"{}")["code"] == "unprocessable"


async def test_a_browser_names_its_key_as_a_subprotocol(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    offered = Subprotocol(f"holdfast.bearer.{api.key}")
    url = api.url.replace("http", "ws") + f"/v1/runs/{run.id}/ws"
    async with connect(url, subprotocols=[offered]) as open_socket:
        assert open_socket.subprotocol == offered
        assert json.loads(await open_socket.recv())["seq"] == 1


async def test_a_stranger_gets_no_socket_and_another_tenant_no_run(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    await make_tenant(api, "rivals")
    rival = await api.new_key("admin", tenant="rivals")
    for key, status in (("hf_000000000000_00", 401), (rival, 404)):
        with pytest.raises(InvalidStatus) as refused:
            async with socket(api, f"/v1/runs/{run.id}/ws", key):
                pass
        assert refused.value.response.status_code == status
        assert refused.value.response.headers["content-type"] == MEDIA_TYPE


async def test_a_socket_whose_reader_left_frees_its_place(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    before = api.services.feed.followers
    open_socket: ClientConnection = await socket(api, f"/v1/runs/{run.id}/ws")
    await open_socket.recv()
    await open_socket.close()

    async def freed() -> bool:
        return api.services.feed.followers == before

    await until(freed)


async def test_a_tenants_stream_tells_of_all_its_runs_and_of_no_other_tenants(api: RunningApi) -> None:
    await make_tenant(api, "rivals")
    rival = api.client(await api.new_key("admin", tenant="rivals"))
    async with api.http().stream("GET", "/v1/events") as stream:
        events = read_events(stream.aiter_lines())
        waiting = asyncio.create_task(_take(events, 4))
        await until(lambda: _followed(api))
        hidden = await rival.runs.start(RunRequest(goal="hidden"))
        one = await api.client().runs.start(RunRequest(goal="one"))
        other = await api.client().runs.start(RunRequest(goal="other"))
        await tell(api, one.id, "run.message")
        await tell(api, other.id, "run.message")
        told = [json.loads(event.data) for event in await asyncio.wait_for(waiting, 10)]
    assert {(event["run_id"], event["seq"]) for event in told} == {
        (run.id, seq) for run in (one, other) for seq in (1, 2)
    }
    assert hidden.id not in str(told)


async def test_a_tenants_stream_is_resumed_without_a_gap(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    async with api.http().stream("GET", "/v1/events", params={"after": 1}) as stream:
        first = await anext(read_events(stream.aiter_lines()))
    await tell(api, run.id, "run.message", "run.message")
    async with api.http().stream("GET", "/v1/events", headers={"Last-Event-ID": first.id}) as stream:
        seen: list[int] = []
        async for event in read_events(stream.aiter_lines()):
            told = json.loads(event.data)
            if told["run_id"] == run.id:
                seen.append(told["seq"])
            if len(seen) == 3:
                break
    assert seen == [1, 2, 3]


async def test_pieces_of_a_models_words_are_shown_to_who_listens_and_kept_nowhere(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    async with api.http().stream("GET", f"/v1/runs/{run.id}/events") as stream:
        events = read_events(stream.aiter_lines())
        assert (await anext(events)).id == "1"
        await tell_delta(api.services.database, tenant="default", run_id=run.id, data={"text": "hel"})
        delta = await asyncio.wait_for(anext(events), 5)
        assert (delta.event, delta.id) == ("model.delta", "")
        assert ModelDelta.model_validate_json(delta.data) == ModelDelta(run_id=run.id, text="hel")
        await end_run(api, run.id)
        assert (await anext(events)).event == "run.ended"
    assert [event.seq async for event in api.client().runs.follow(run.id)] == [1, 2]


async def test_metrics_count_what_is_in_the_tables(api: RunningApi) -> None:
    await api.client().runs.start(RunRequest(goal="x"))
    async with api.http() as http:
        text = (await http.get("/metrics")).text
    for status in RunStatus:
        assert f'holdfast_runs{{status="{status}"}}' in text
    assert 'holdfast_verdicts{decision="deny"} 0.0' in text
    assert "_created" not in text
    assert "holdfast_approvals_waiting 0.0" in text
    assert 'holdfast_http_requests_total{method="POST",route="/v1/runs",status="202"}' in text
    assert "holdfast_temporal_up 1.0" in text
    for queue in Queue:
        assert f'holdfast_queue_backlog{{kind="activity",queue="{queue}"}}' in text


async def test_metrics_say_how_much_waits_for_workers_and_go_on_without_temporal(
    api: RunningApi, database_url: str
) -> None:
    line = 'holdfast_queue_backlog{kind="workflow",queue="orchestration"} '
    for _ in range(3):
        await api.client().runs.start(RunRequest(goal="x"))

    async def waiting() -> bool:
        async with api.http() as http:
            text = (await http.get("/metrics")).text
        return float(text.partition(line)[2].partition("\n")[0]) >= 3

    await until(waiting)
    async with serve(database_url, temporal_is_away) as lonely, lonely.http() as http:
        text = (await http.get("/metrics")).text
    assert "holdfast_temporal_up 0.0" in text
    assert "holdfast_approvals_waiting 0.0" in text


async def _take(events: AsyncIterator[ServerEvent], count: int) -> list[ServerEvent]:
    return [await anext(events) for _ in range(count)]


async def _followed(api: RunningApi) -> bool:
    return api.services.feed.followers > 0
