"""MCP servers that misbehave, over each way to them: what they say ends their call as what it is, and harms nobody else."""

import gzip
import json
import re
import resource
import sys
from pathlib import Path
from typing import cast

import pytest

from holdfast.adapters.mcp.answered import Connection
from holdfast.adapters.mcp.answers import UNREADABLE, Line, meant, message_in
from holdfast.adapters.mcp.catalogue import tools_of
from holdfast.errors import BrokeOff
from holdfast.testing.http import HttpRequest, HttpResponse, HttpServer
from schemas.base import JsonObject
from schemas.mcp import McpServer
from schemas.tools import ToolResult
from tests.tools.conftest import code_of
from tests.tools.test_mcp import Worker, roomy, worker

__all__ = ["roomy", "worker"]

PROGRAM = Path(__file__).parent / "hostile_server.py"
WAYS: dict[str, dict[str, object]] = {
    "one_exchange": {"command": ["/usr/bin/python3", str(PROGRAM)]},
    "warm": {"command": ["/usr/bin/python3", str(PROGRAM)], "warm": True},
    "beside": {"command": [sys.executable, str(PROGRAM)], "unsandboxed": True},
}


def text_of(result: ToolResult) -> str:
    return str(result.output.get("text", ""))


@pytest.fixture(params=list(WAYS))
async def hostile(worker: Worker, request: pytest.FixtureRequest) -> Worker:
    if not all(folder.stat().st_mode & 0o001 for folder in PROGRAM.parents):
        pytest.skip("THE CHECKOUT IS BELOW A FOLDER THAT ONLY ITS OWNER ENTERS: no tool can be given it")
    await worker.set(h={**WAYS[request.param], "catalogue": "any", "timeout_s": 30, "result_bytes": 100_000})
    assert worker.told.problems == {}
    return worker


async def test_each_answer_ends_its_call_as_what_it_is(hostile: Worker) -> None:
    ended = {
        name: code_of(await hostile.call(f"mcp.h.{name}"))
        for name in ("huge", "many", "deep", "broken", "refuses", "huge_note", "flood", "breaks_its_promise")
    }
    assert ended == {
        "huge": "answer_too_large",
        "many": "answer_too_large",
        "deep": "bad_answer",
        "broken": "bad_answer",
        "refuses": "tool_failed",
        "huge_note": "",
        "flood": "",
        "breaks_its_promise": "bad_output",
    }
    assert text_of(await hostile.call("mcp.h.ping")) == "pong"


async def test_what_no_store_takes_is_marked_and_the_rest_is_kept(hostile: Worker) -> None:
    numbers = await hostile.call("mcp.h.not_a_number")
    assert numbers.output["structured"] == {"a": ["nan", "inf", "-inf"]}
    assert text_of(await hostile.call("mcp.h.half_a_character")) == "a\ufffdb\ufffdc"
    assert text_of(await hostile.call("mcp.h.twice")) == "first"
    assert text_of(await hostile.call("mcp.h.last_words")) == "bye"
    refused = await hostile.call("mcp.h.refuses")
    assert refused.error is not None
    assert "\0" not in refused.error.message
    assert len(refused.error.message) < 600


@pytest.mark.parametrize("way", ["one_exchange", "warm"])
async def test_connections_are_told_whether_the_call_went_well_or_not(worker: Worker, way: str) -> None:
    if not all(folder.stat().st_mode & 0o001 for folder in PROGRAM.parents):
        pytest.skip("THE CHECKOUT IS BELOW A FOLDER THAT ONLY ITS OWNER ENTERS: no tool can be given it")
    network = {"mode": "allowlist", "allow": ["status.example.com:443"]}
    await worker.set(h={**WAYS[way], "catalogue": "any", "permissions": {"network": network}})
    for _ in range(2):
        result = await worker.call("mcp.h.reach")
        assert [each["host"] for each in result.output["network"]] == ["169.254.169.254"]
        assert result.isolation is not None
    assert "network" not in (await worker.call("mcp.h.ping")).output


async def test_a_server_that_dies_under_a_call_breaks_it_off_and_is_started_again(worker: Worker) -> None:
    await worker.set(h={**WAYS["beside"], "catalogue": "any"})
    with pytest.raises(BrokeOff):
        await worker.call("mcp.h.dies")
    after = await worker.call("mcp.h.ping")
    assert text_of(after) == "pong"
    assert after.isolation is not None
    assert after.isolation.degraded


async def test_an_answer_that_is_too_large_never_is_in_memory(worker: Worker) -> None:
    await worker.set(h={**WAYS["beside"], "catalogue": "any", "result_bytes": 100_000})
    await worker.call("mcp.h.ping")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert code_of(await worker.call("mcp.h.huge")) == "answer_too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8_000  # of 12 MB


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("texts", "no tools|no result"),
        ("nameless", "without a name|no result"),
        ("nothing", "no list|no result"),
    ],
)
async def test_a_list_that_is_none_is_told_and_leaves_the_other_servers_alone(
    worker: Worker, way: str, kind: str, said: str
) -> None:
    if not all(folder.stat().st_mode & 0o001 for folder in PROGRAM.parents):
        pytest.skip("THE CHECKOUT IS BELOW A FOLDER THAT ONLY ITS OWNER ENTERS: no tool can be given it")
    odd = {**WAYS[way], "command": [*cast("list[str]", WAYS[way]["command"]), kind]}
    await worker.set(a={**odd, "catalogue": "any"}, h={**WAYS["beside"], "catalogue": "any"})
    assert re.search(said, worker.told.problems.pop("mcp:a"))
    assert worker.told.problems == {}
    assert text_of(await worker.call("mcp.h.ping")) == "pong"


async def test_a_number_that_comes_back_as_text_is_that_number(hostile: Worker) -> None:
    assert text_of(await hostile.call("mcp.h.number_as_text")) == "mine"
    assert code_of(await hostile.call("mcp.h.no_number")) == "tool_failed"


async def test_a_tool_whose_schema_cannot_be_used_is_left_out_and_told(worker: Worker) -> None:
    beside = {**WAYS["beside"], "command": [sys.executable, str(PROGRAM), "schemas"]}
    await worker.set(h={**beside, "catalogue": "any"})
    said = worker.told.problems["mcp:h"]
    assert "'fetches' is left out: $ref: http://127.0.0.1:9/schema is elsewhere" in said
    assert "'loops' is left out: it refers to itself without end" in said
    assert "'dangles' is left out: $ref: #/$defs/none is not in the schema itself" in said
    assert text_of(await worker.call("mcp.h.ping")) == "pong"
    assert code_of(await worker.call("mcp.h.slow", a="a" * 60 + "!")) == "bad_arguments"


def test_a_tool_that_takes_no_object_is_left_out() -> None:
    listed: list[JsonObject] = [
        {"name": "lists", "inputSchema": {"type": "array"}},
        {"name": "odd", "inputSchema": True},
    ]
    server = McpServer(url="http://127.0.0.1:9/mcp")
    made, problems = tools_of("h", server, cast("Connection", None), listed)
    assert made == []
    assert problems[0] == "'lists' is left out: inputSchema.type: arguments are an object"
    assert "'odd' is left out" in problems[1]


def test_a_long_line_is_held_by_its_ends() -> None:
    line = Line(most=10_000)
    for piece in (b'{"jsonrpc":"2.0","id":7,', b"x" * 9_000, b"y" * 90_000, b'","id":8}'):
        line.feed(piece)
    assert line.over
    assert len(line.held) <= 4_000
    assert meant(bytes(line.held), {7}) == 7
    assert meant(bytes(line.held), {8}) == 8
    assert meant(b"no id at all", {5}) == 5
    assert meant(b"no id at all", {5, 6}) is None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"method":"notifications/progress"}', None),
        (b"starting up...", None),
        (b"[1, 2]", None),
        (b'{"id":3,"result":{}}', {"id": 3, "result": {}}),
        (b'{"id":"s","method":"ping"}', {"id": "s", "method": "ping"}),
    ],
)
def test_only_what_somebody_waits_for_is_read(line: bytes, found: object) -> None:
    assert message_in(line) == found


def test_broken_json_refuses_the_request_it_names() -> None:
    refused = message_in(b'{"jsonrpc":"2.0","id":3,"result":{"content":[}')
    assert refused is not None
    assert (refused["id"], refused["error"]["code"]) == (3, UNREADABLE)


@pytest.mark.parametrize("levels", [101, 900, 9_000, 90_000])
def test_no_deep_nesting_comes_through_whichever_python_reads_it(levels: int) -> None:
    """How deep a Python reads at all differs: what one refuses, another reads, and then it is marked."""
    message = message_in(b'{"id":3,"result":{"a":%s}}' % (b"[" * levels + b"]" * levels))
    assert message is not None
    assert "nested deeper" in json.dumps(message) or message["error"]["code"] == UNREADABLE


@pytest.mark.parametrize("events", [False, True], ids=["json", "events"])
@pytest.mark.parametrize(
    ("call", "packed", "code"),
    [
        (b'{"type":"text","text":"%s"}]}}' % (b"x" * 2_000_000), False, "answer_too_large"),
        (b'{"type":"text","text":"%s"}]}}' % (b"x" * 2_000_000), True, "bad_answer"),
        (b'],"structuredContent":{"a":%s}}}' % (b"[" * 100_000 + b"]" * 100_000), False, "bad_answer"),
        (b"}", False, "bad_answer"),
        (b'{"type":"text","text":"a\\ud800b"}]}}', False, ""),
    ],
    ids=["huge", "packed", "deep", "broken", "half_a_character"],
)
async def test_over_http_answers_are_bounded_too(
    worker: Worker, *, events: bool, call: bytes, packed: bool, code: str
) -> None:
    async def handle(request: HttpRequest, response: HttpResponse) -> None:
        asked = json.loads(request.body) if request.body else {}
        if "id" not in asked:
            await response.send(b"", status=202 if request.method == "POST" else 405)
            return
        if asked["method"] == "tools/call":
            answer = b'{"jsonrpc":"2.0","id":%d,"result":{"content":[' % asked["id"] + call
        else:
            tools = [{"name": "ask", "inputSchema": {"type": "object"}}]
            version = {"protocolVersion": "2025-06-18", "serverInfo": {"name": "h", "version": "1"}}
            result = {**version, "capabilities": {"tools": {}}, "tools": tools}
            answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()
        headers = {}
        if events:
            answer, headers["content-type"] = b"data: " + answer + b"\n\n", "text/event-stream"
        if packed:
            answer, headers["content-encoding"] = gzip.compress(answer), "gzip"
            headers["content-length"] = str(len(answer))
        await response.send(answer, headers=headers)

    server = HttpServer(handle)
    port = await server.listen(host="127.0.0.1", port=0)
    try:
        url = f"http://127.0.0.1:{port}/mcp"
        await worker.set(h={"url": url, "catalogue": "any", "result_bytes": 100_000, "timeout_s": 20})
        if packed:
            assert "unreadable" in worker.told.problems["mcp:h"]
            return
        result = await worker.call("mcp.h.ask")
        assert code_of(result) == code
        assert [each["port"] for each in result.output["network"]] == [port]
    finally:
        await worker.servers.close()
        await server.close()
