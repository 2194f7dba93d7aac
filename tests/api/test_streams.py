"""Event streams: nothing lost, nothing doubled, whatever happens to the connection or to the server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
import structlog

from api import server
from holdfast.client import Holdfast
from holdfast.client.sse import ServerEvent, read_events
from holdfast.runtime.settings import ApiSettings
from schemas.events import RunEvent
from schemas.runs import RunRequest
from tests.api.conftest import (
    RunningApi,
    end_run,
    make_tenant,
    reaching,
    serve,
    tell,
    temporal_is_away,
    until,
)


async def collect(events: AsyncIterator[RunEvent]) -> list[int]:
    return [event.seq async for event in events]


async def test_an_ended_run_is_replayed_from_its_beginning(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    await tell(api, run.id, *["run.message"] * 450)
    await end_run(api, run.id)
    assert await collect(api.client().runs.follow(run.id)) == list(range(1, 453))


async def test_a_stream_goes_on_after_the_last_number_seen(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    await tell(api, run.id, "run.message", "run.message")
    await end_run(api, run.id)
    assert await collect(api.client().runs.follow(run.id, after=2)) == [3, 4]


async def test_the_header_of_a_reconnecting_browser_wins_over_its_address(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    await tell(api, run.id, "run.message", "run.message")
    await end_run(api, run.id)
    async with api.http() as http:
        answer = await http.get(
            f"/v1/runs/{run.id}/events", params={"after": 0}, headers={"Last-Event-ID": "3"}
        )
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [event async for event in read_events(_lines(answer.text))]
    assert [(event.id, event.event) for event in events] == [("4", "run.ended")]


async def test_after_the_last_event_of_an_ended_run_a_browser_is_told_to_stay_away(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    await end_run(api, run.id)
    async with api.http() as http:
        answer = await http.get(f"/v1/runs/{run.id}/events", headers={"Last-Event-ID": "2"})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_events_arrive_while_they_happen(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    events = api.client().runs.follow(run.id)
    assert (await anext(events)).seq == 1
    for number in range(2, 12):
        await tell(api, run.id, "run.message")
        assert (await asyncio.wait_for(anext(events), 5)).seq == number
    await end_run(api, run.id)
    assert await collect(events) == [12]


async def test_a_story_without_following_ends_where_it_stands(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    assert await collect(api.client().runs.follow(run.id, follow=False)) == [1]


async def test_the_story_told_so_far_is_a_list_too(api: RunningApi) -> None:
    client = api.client()
    run = await client.runs.start(RunRequest(goal="x"))
    await tell(api, run.id, *["run.message"] * 210)
    path = f"/v1/runs/{run.id}/story"
    assert [event.seq async for event in client.wire.items(path, RunEvent)] == list(range(1, 212))
    page = (await client.wire.ask("GET", path, query={"after": 209, "limit": 1})).json()
    rest = (await client.wire.ask("GET", path, query={"cursor": page["next"], "after": 3})).json()
    assert [each["seq"] for each in (*page["items"], *rest["items"])] == [210, 211]
    assert rest["next"] is None


async def test_a_resumed_run_is_followed_beyond_its_first_end(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    await tell(api, run.id, "run.ended", status="failed")
    await tell(api, run.id, "run.started", status="running")
    await end_run(api, run.id)
    assert await collect(api.client().runs.follow(run.id)) == [1, 2, 3, 4]


async def test_a_lost_listener_is_replaced_and_loses_nothing(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    events = api.client().runs.follow(run.id)
    assert (await anext(events)).seq == 1
    async with api.services.database.statement() as connection:
        await connection.execute("reset role")
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen %' "
            "and datname = current_database()"
        )
        await connection.execute("set role holdfast_app")
    await tell(api, run.id, "run.message")
    await end_run(api, run.id)
    assert await asyncio.wait_for(collect(events), 10) == [2, 3]


async def test_over_the_limit_a_stream_is_refused_with_a_time_to_come_back(
    database_url: str, temporal_address: str
) -> None:
    async with serve(database_url, reaching(temporal_address), api=ApiSettings(streams=1)) as api:
        run = await api.client().runs.start(RunRequest(goal="x"))
        http = api.http()
        async with http.stream("GET", f"/v1/runs/{run.id}/events") as first:
            lines = first.aiter_lines()
            await anext(lines)
            answer = await http.get(f"/v1/runs/{run.id}/events")
            assert (answer.status_code, answer.json()["retryable"]) == (503, True)
            assert answer.headers["Retry-After"]
        await end_run(api, run.id)


async def test_no_tenant_takes_the_last_quarter_of_the_streams(database_url: str) -> None:
    async with (
        serve(database_url, temporal_is_away, api=ApiSettings(streams=4)) as api,
        AsyncExitStack() as open_,
    ):
        await make_tenant(api, "rivals")
        ours, theirs = api.http(), api.http(await api.new_key("viewer", tenant="rivals"))
        for _ in range(3):
            await open_.enter_async_context(ours.stream("GET", "/v1/events"))
        refused = await ours.get("/v1/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "limit_reached")
        there = await open_.enter_async_context(theirs.stream("GET", "/v1/events"))
        assert there.status_code == 200


async def test_a_quiet_stream_is_kept_open_by_heartbeats(database_url: str, temporal_address: str) -> None:
    async with serve(database_url, reaching(temporal_address), api=ApiSettings(heartbeat_s=0.05)) as api:
        run = await api.client().runs.start(RunRequest(goal="x"))
        async with api.http().stream("GET", f"/v1/runs/{run.id}/events") as stream:
            beats = 0
            async for line in stream.aiter_lines():
                beats += line.startswith(":")
                if beats == 3:
                    break


async def test_a_stopping_server_ends_its_streams_and_a_client_goes_on_at_the_next_one(
    database_url: str, temporal_address: str
) -> None:
    async with serve(database_url, reaching(temporal_address)) as first:
        run = await first.client().runs.start(RunRequest(goal="x"))
        holdfast = Holdfast(first.url, first.key)
        events = holdfast.runs.follow(run.id)
        assert (await anext(events)).seq == 1
        first.server.end_streams()
        await tell(first, run.id, "run.message")
        assert (await asyncio.wait_for(anext(events), 10)).seq == 2
        await end_run(first, run.id)
        assert [event.seq async for event in events] == [3]
        await holdfast.close()


@pytest.mark.parametrize("over", ["sse", "socket"])
async def test_a_reader_that_stands_still_is_cut_off_and_holds_no_place(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch, over: str
) -> None:
    monkeypatch.setattr(server, "STALLED_S", 0.1)
    run = await api.client().runs.start(RunRequest(goal="x"))
    await tell(api, run.id, *["run.message"] * 500, data={"text": "x" * 10_000})
    await tell(api, run.id, *["run.message"] * 500, data={"text": "x" * 10_000})
    path = f"/v1/runs/{run.id}/{'events' if over == 'sse' else 'ws'}"
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    asked = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n"
    url = httpx.URL(api.url)
    with (
        structlog.testing.capture_logs() as told,
        socket.create_connection((url.host, url.port or 80)) as reader,
    ):
        reader.sendall(f"{asked}{upgrade if over == 'socket' else ''}\r\n".encode())

        async def cut() -> bool:
            return any(line["event"] == "reader_stalled" for line in told)

        await until(cut)
        # In a thread: the server, which has to close its end yet, lives in this loop.
        taken = await asyncio.to_thread(_left_in, reader)
    assert taken < 10_000_000


def _left_in(reader: socket.socket) -> int:
    return sum(len(piece) for piece in iter(lambda: reader.recv(1 << 20), b""))


async def test_what_unicode_calls_a_line_end_cuts_no_event(api: RunningApi) -> None:
    words = "one\u2028two\u2029three\u0085four"
    run = await api.client().runs.start(RunRequest(goal=words))
    await end_run(api, run.id)
    first, _ = [event async for event in api.client().runs.follow(run.id)]
    assert first.data["goal"] == words


async def test_half_an_event_is_never_told() -> None:
    events = [event async for event in read_events(_lines("id: 1\ndata: {}\n\nid: 2\ndata: {"))]
    assert events == [ServerEvent("1", "message", "{}")]


@pytest.mark.parametrize("number", ["-1", "x", "99999999999999999999"])
async def test_a_last_event_id_that_is_no_number_is_refused(api: RunningApi, number: str) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    async with api.http() as http:
        answer: httpx.Response = await http.get(
            f"/v1/runs/{run.id}/events", headers={"Last-Event-ID": number}
        )
    assert answer.status_code == 422


async def _lines(text: str) -> AsyncIterator[str]:
    for line in text.split("\n"):
        yield line
