"""What comes in from outside may be wrong, huge, slow or malicious: the answer is a problem, and the API lives on."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import psycopg
import pytest
import structlog

from api import bodies, door, server
from holdfast.runtime.settings import ApiSettings
from schemas.problems import MEDIA_TYPE, Problem
from tests.api.conftest import RunningApi, serve, temporal_is_away

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b'{"goal": "\xff\xfe"}', 400),
        (b"\xef\xbb\xbf{}", 422),
        ('{"goal": "x"}'.encode("utf-16"), 400),
        (b'{"goal": "x", "goal": "y"}', 400),
        (b'{"goal": "x", "inputs": {"a": NaN}}', 400),
        (b'{"goal": "x", "inputs": {"a": 1e999}}', 400),
        (b'{"goal": "a\\u0000b"}', 400),
        (b'{"goal": "\\ud800"}', 400),
        (b'{"goal": "x", "inputs": {"\\u0000": 1}}', 400),
        (b'{"goal": "x", "inputs": {"a": ' + b"9" * 5000 + b"}}", 400),
        (b'{"goal": "x", "inputs": ' + b'{"a":' * 100 + b"1" + b"}" * 101, 400),
        (b'{"goal": "x", "inputs": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", 400),
        (b"[]", 422),
        (b'"goal"', 422),
        (b"null", 422),
        (b'{"goal": ""}', 422),
        (b'{"goal": "   "}', 422),
        (b'{"goal": 7}', 422),
        (b'{"goal": "x", "gaol": "y"}', 422),
        (b'{"goal": "x", "limits": {"stepz": 1}}', 422),
        (b'{"goal": "x", "agent_version": 1000000000000}', 422),
        (b'{"goal": "x", "environment": "../etc"}', 422),
        (b'{"goal": "' + b"x" * 8001 + b'"}', 422),
    ],
)
async def test_a_bad_body_is_one_clear_problem(api: RunningApi, body: bytes, status: int) -> None:
    async with api.http() as http:
        answer = await http.post("/v1/runs", content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    problem = Problem.model_validate(answer.json())
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert problem.detail
    assert problem.trace_id


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_another_media_type_is_not_read(api: RunningApi, content_type: str) -> None:
    async with api.http() as http:
        answer = await http.post("/v1/runs", content=b'{"goal": "x"}', headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_a_compressed_body_is_not_read(api: RunningApi) -> None:
    async with api.http() as http:
        answer = await http.post("/v1/runs", content=b"{}", headers={**JSON, "Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "query",
    [
        "statsu=failed",
        "limit=1&limit=2",
        "text=%ff",
        "cursor=x",
        "created_after=then",
        "order=random",
        "sort=goal",
    ],
)
async def test_a_query_that_would_be_misread_is_refused(api: RunningApi, query: str) -> None:
    async with api.http() as http:
        answer = await http.get(f"/v1/runs?{query}")
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE


async def test_an_action_that_no_tool_could_have_is_refused_before_it_is_tried(api: RunningApi) -> None:
    async with api.http() as http:
        answer = await http.post("/v1/policy-trials", json={"action": {"tool": ""}})
    assert answer.status_code == 422


async def test_a_moment_without_a_time_zone_is_meant_in_utc(api: RunningApi) -> None:
    async with api.http() as http:
        made = (await http.post("/v1/runs", json={"goal": "x"})).json()
        (shown,) = (await http.get(f"/v1/runs?created_after={made['created_at'][:-1]}&limit=1")).json()[
            "items"
        ]
    assert shown["id"] == made["id"]


async def test_head_answers_as_get_does_without_a_body(api: RunningApi) -> None:
    async with api.http() as http:
        here, there = await http.head("/v1/runs"), await http.head("/v1/runs/run_00000000000000000000")
        stream = await http.head("/v1/events")
    assert (here.status_code, here.content, there.status_code) == (200, b"", 404)
    assert (stream.status_code, stream.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("path", ["/v1/runs/%00", "/v1/runs?text=%00", "/v1/agents/a%00b"])
async def test_a_nul_in_the_address_is_refused(api: RunningApi, path: str) -> None:
    async with api.http() as http:
        answer = await http.get(path)
    assert answer.status_code in (400, 422)


async def test_an_announced_hundred_megabytes_are_refused_before_they_are_sent(api: RunningApi) -> None:
    assert b" 413 " in await _first_line(api, head(api, "Content-Length: 104857600") + b"{")


async def test_a_hundred_megabytes_without_an_announcement_are_cut_off(api: RunningApi) -> None:
    sent = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1600):
            sent += 65_536
            yield b" " * 65_536

    async with api.http() as http:
        try:
            answer = await http.post("/v1/runs", content=flood(), headers=JSON)
            assert answer.status_code == 413
        except httpx.TransportError:
            pass  # the server answered and hung up while we were still sending
    assert sent < 50 * 1024 * 1024


async def test_documents_may_be_larger_than_other_bodies_and_are_checked_as_well(api: RunningApi) -> None:
    text = "# Long\n\n" + "word " * 300_000
    deep = b'{"documents": ' + b"[" * 300_000 + b"]" * 300_000 + b"}"
    async with api.http() as http:
        document = {"id": "long", "text": text, "media": "markdown"}
        taken = await http.post("/v1/runbooks", json={"documents": [document]}, timeout=60)
        refused = await http.post("/v1/runbooks", content=deep, headers=JSON)
        elsewhere = await http.post("/v1/runs", json={"goal": "x", "inputs": {"text": text}})
    assert (taken.status_code, refused.status_code, elsewhere.status_code) == (202, 400, 413), taken.text


async def test_a_client_that_does_not_finish_its_headers_is_sent_away(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEADER_S", 0.2)
    assert await _first_line(api, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""


async def test_a_client_that_is_slow_with_its_second_request_is_sent_away(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEADER_S", 0.3)
    url = httpx.URL(api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nX-Slow: ")
    answers = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answers.count(b"200 OK") == 1


async def test_a_client_that_does_not_finish_its_body_is_sent_away(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_READ_S", 0.2)
    assert b" 408 " in await _first_line(api, head(api, "Content-Length: 100") + b"{")


async def test_headers_without_end_are_refused(api: RunningApi) -> None:
    assert b" 400 " in await _first_line(api, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 500_000)


async def test_what_is_no_http_is_told_so_as_a_problem(api: RunningApi) -> None:
    url = httpx.URL(api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    assert MEDIA_TYPE.encode() in head
    assert Problem.model_validate_json(body).status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/runs", 404),
        ("GET", "/v1/runs/", 404),
        ("PATCH", "/v1/runs", 405),
        ("BREW", "/v1/runs", 405),
        ("POST", "/livez", 405),
    ],
)
async def test_an_unknown_path_or_method_is_a_problem_too(
    api: RunningApi, method: str, path: str, status: int
) -> None:
    async with api.http() as http:
        answer = await http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert status != 405 or answer.headers["Allow"]


async def test_over_the_crowd_a_request_is_sent_away_at_once(database_url: str) -> None:
    async with serve(database_url, temporal_is_away, api=ApiSettings(concurrent_requests=1)) as api:
        run = api.services

        async with api.http() as http, run.database.statement():
            answers = await asyncio.gather(*(http.get("/v1/runs") for _ in range(30)))
        codes = {answer.status_code for answer in answers}
    assert codes == {200, 503}


async def test_a_request_that_postgres_leaves_hanging_is_given_up_and_frees_its_place(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch, module_database_url: str
) -> None:
    monkeypatch.setattr(door, "_PATIENCE_S", 0.3)
    async with await psycopg.AsyncConnection.connect(module_database_url) as other, api.http() as http:
        await other.execute("lock table holdfast.runs in access exclusive mode")
        hanging = await http.get("/v1/runs")
        await other.rollback()
        assert (hanging.status_code, hanging.json()["retryable"]) == (503, True)
        assert (await http.get("/v1/runs")).status_code == 200


async def test_an_inner_failure_says_nothing_of_the_inside(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(api.services.runs, "read", broken)
    with structlog.testing.capture_logs() as told:
        async with api.http() as http:
            answer = await http.get("/v1/runs/run_00000000000000000000000000")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "request_failed" in [line["event"] for line in told]
    assert "swordfish" not in answer.text


async def test_every_answer_carries_its_ids_and_its_guards(api: RunningApi) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with api.http() as http:
        headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-Id": "bad id\x7f"}
        answer = await http.get("/v1/runs/run_00000000000000000000000000", headers=headers)
    assert answer.json()["trace_id"] == trace
    assert answer.headers["X-Request-Id"] != "bad id"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_browsers_of_other_origins_stay_outside_unless_named(database_url: str) -> None:
    options = ApiSettings(cors_origins=("https://console.example",))
    async with serve(database_url, temporal_is_away, api=options) as api, api.stranger() as http:
        ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        named = await http.options("/v1/runs", headers={**ask, "Origin": "https://console.example"})
        other = await http.options("/v1/runs", headers={**ask, "Origin": "https://evil.example"})
        refused = await http.get("/v1/runs", headers={"Origin": "https://console.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (
        401,
        "https://console.example",
    )
    assert named.headers["access-control-allow-origin"] == "https://console.example"
    assert "access-control-allow-origin" not in other.headers


async def test_long_answers_are_compressed(api: RunningApi) -> None:
    async with api.stranger() as http:
        answer = await http.get("/openapi.json")
    assert answer.headers["content-encoding"] == "gzip"


async def test_the_reference_loads_nothing_from_elsewhere(api: RunningApi) -> None:
    async with api.stranger() as http:
        page = await http.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "script-src 'sha256-" in page.headers["Content-Security-Policy"]


async def test_a_body_is_checked_in_linear_time() -> None:
    body = json.dumps({"a": ["x" * 10] * 60_000}).encode()
    since = time.perf_counter()
    bodies.check_json(body, "application/json")
    assert time.perf_counter() - since < 1


def head(api: RunningApi, length: str) -> bytes:
    """The headers of a POST whose body is yet to come."""
    lines = ("POST /v1/runs HTTP/1.1", "Host: x", f"Authorization: Bearer {api.key}", length)
    return "\r\n".join((*lines, "Content-Type: application/json", "", "")).encode()


async def _first_line(api: RunningApi, sent: bytes) -> bytes:
    url = httpx.URL(api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(sent)
        return await asyncio.wait_for(reader.readline(), 5)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
