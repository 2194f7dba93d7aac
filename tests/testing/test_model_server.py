"""The test model server as its users meet it: over HTTP, in this process or in another."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from click.testing import CliRunner

from holdfast.cli import testing as commands
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Call, Reply, Rule
from schemas.base import JsonObject


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as client:
        yield client


def body(text: str, **more: object) -> JsonObject:
    return {"model": "test", "messages": [{"role": "user", "content": text}], **more}


async def said(http: httpx.AsyncClient, server: ModelServer, text: str) -> str:
    answer = await http.post(f"{server.base_url}/chat/completions", json=body(text))
    return str(answer.json()["choices"][0]["message"]["content"])


async def test_replies_are_given_in_turn_and_the_last_one_stays(
    server: ModelServer, http: httpx.AsyncClient
) -> None:
    server.rules.append(Rule(replies=(Reply(text="one"), Reply(text="two"))))
    assert [await said(http, server, "x") for _ in range(3)] == ["one", "two", "two"]


async def test_rules_are_tried_in_order_and_may_wear_out(
    server: ModelServer, http: httpx.AsyncClient
) -> None:
    rules = [
        {"match": {"last": "^disk"}, "replies": [{"text": "93%"}]},
        {"times": 1, "replies": [{"text": "once"}]},
        {"replies": [{"data": {"a": 1}}]},
    ]
    put = await http.put(server.base_url.removesuffix("/v1") + "/rules", json=rules)
    assert put.json() == {"rules": 3}
    assert [await said(http, server, text) for text in ("disk?", "x", "x", "disk!")] == [
        "93%",
        "once",
        '{"a": 1}',
        "93%",
    ]


async def test_a_call_no_rule_fits_is_an_error_that_says_so(
    server: ModelServer, http: httpx.AsyncClient
) -> None:
    answer = await http.post(f"{server.base_url}/chat/completions", json=body("who are you?"))
    assert answer.status_code == 400
    assert "no rule of the test model fits" in answer.json()["error"]["message"]


async def test_a_rule_with_a_misspelt_field_is_refused(server: ModelServer, http: httpx.AsyncClient) -> None:
    put = await http.put(server.base_url.removesuffix("/v1") + "/rules", json=[{"replies": [{"txt": "x"}]}])
    assert put.status_code == 422
    assert "txt" in put.text


async def test_rules_in_code_see_the_call(server: ModelServer, http: httpx.AsyncClient) -> None:
    def echo(call: Call) -> Reply | None:
        return Reply(text=call.last.upper())

    server.rules.append(echo)
    assert await said(http, server, "hello") == "HELLO"


async def test_what_was_asked_can_be_read_and_holds_no_key(
    server: ModelServer, http: httpx.AsyncClient
) -> None:
    server.rules.append(Rule(replies=(Reply(text="x"),)))
    await http.post(
        f"{server.base_url}/chat/completions",
        json=body("hello"),
        headers={"authorization": "Bearer very-secret"},
    )
    calls = await http.get(server.base_url.removesuffix("/v1") + "/calls")
    (call,) = calls.json()
    assert call["body"]["messages"][0]["content"] == "hello"
    assert call["with_key"]
    assert "very-secret" not in calls.text


async def test_a_server_with_a_key_refuses_others(http: httpx.AsyncClient) -> None:
    async with ModelServer(key="right") as server:
        answer = await http.post(f"{server.base_url}/chat/completions", json=body("hello"))
        assert answer.status_code == 401


async def test_a_stream_has_the_usage_only_when_it_is_asked_for(
    server: ModelServer, http: httpx.AsyncClient
) -> None:
    server.rules.append(Rule(replies=(Reply(text="hello world", piece=4),)))
    for options in ({}, {"stream_options": {"include_usage": True}}):
        answer = await http.post(
            f"{server.base_url}/chat/completions", json=body("x", stream=True, **options)
        )
        lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
        assert lines[-1] == "[DONE]"
        chunks = [json.loads(line) for line in lines[:-1]]
        words = "".join(
            chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]
        )
        assert words == "hello world"
        assert any("usage" in chunk for chunk in chunks) is bool(options)


async def test_embeddings_bring_texts_with_common_words_near(
    server: ModelServer, http: httpx.AsyncClient
) -> None:
    texts = ["disk is full", "the disk is full", "user wants lunch"]
    answer = await http.post(
        f"{server.base_url}/embeddings", json={"model": "e", "input": texts, "dimensions": 64}
    )
    one, two, other = (row["embedding"] for row in answer.json()["data"])
    near, far = (sum(a * b for a, b in zip(one, vector, strict=True)) for vector in (two, other))
    assert len(one) == 64
    assert near > 0.7 > far


@pytest.fixture
async def openai_client(server: ModelServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client:
        yield client


EXAMPLE = Path(__file__).parents[2] / "examples" / "model-rules.yaml"
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


def asked(text: str) -> Any:
    return {"model": "test", "messages": [{"role": "user", "content": text}]}


async def test_the_openai_client_chats_streams_and_calls_functions_by_the_example(
    server: ModelServer, openai_client: openai.AsyncOpenAI
) -> None:
    server.rules += commands._read(EXAMPLE)
    chat = openai_client.chat.completions
    assert (await chat.create(**asked("hello"))).choices[0].message.content == "It is done."
    words = [
        chunk.choices[0].delta.content or "" async for chunk in await chat.create(**asked("x"), stream=True)
    ]
    assert "".join(words) == "It is done."
    called = (await chat.create(**asked("What is the weather?"), tools=[WEATHER])).choices[0]
    assert called.finish_reason == "tool_calls"
    assert called.message.tool_calls
    function: Any = called.message.tool_calls[0]
    assert json.loads(function.function.arguments) == {"city": "Bern"}
    assert "test" in [model.id async for model in openai_client.models.list()]


async def test_the_openai_client_reads_forms_errors_and_embeddings(
    server: ModelServer, openai_client: openai.AsyncOpenAI
) -> None:
    server.rules += commands._read(EXAMPLE)
    chat = openai_client.chat.completions
    form: Any = {"type": "json_schema", "json_schema": {"name": "plan", "schema": {"type": "object"}}}
    written = await chat.create(**asked("Goal:\nadd"), response_format=form)
    assert len(json.loads(written.choices[0].message.content or "")["steps"]) == 2
    with pytest.raises(openai.RateLimitError) as limited:
        await chat.create(**asked("Goal:\na busy provider"), response_format=form)
    assert limited.value.response.headers["retry-after"] == "1"
    vectors = await openai_client.embeddings.create(model="e", input=["disk is full", "the disk is full"])
    one, two = (row.embedding for row in vectors.data)
    assert sum(a * b for a, b in zip(one, two, strict=True)) > 0.7


async def test_calls_are_forgotten_between_two_tests(server: ModelServer, http: httpx.AsyncClient) -> None:
    server.rules.append(Rule(replies=(Reply(text="x"),)))
    address = server.base_url.removesuffix("/v1") + "/calls"
    await said(http, server, "one")
    await http.delete(address)
    await said(http, server, "two")
    assert [call["body"]["messages"][0]["content"] for call in (await http.get(address)).json()] == ["two"]


async def test_a_body_that_is_no_json_is_refused_as_a_provider_does(
    server: ModelServer, http: httpx.AsyncClient
) -> None:
    answer = await http.post(f"{server.base_url}/chat/completions", content=b"{")
    assert answer.status_code == 400
    assert "no JSON object" in answer.json()["error"]["message"]


async def test_the_command_serves_rules_from_a_file(tmp_path: Path, http: httpx.AsyncClient) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("- match: {contains: [disk]}\n  replies: [{text: 93% full}]\n")
    program = "from holdfast.cli.testing import testing; testing()"
    serving = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", program, "model-server", "--port", "0", "--rules", str(rules),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert serving.stdout
        line = (await serving.stdout.readline()).decode()
        answer = await http.post(f"{line.split()[-1]}/chat/completions", json=body("how is the disk?"))
        assert answer.json()["choices"][0]["message"]["content"] == "93% full"
    finally:
        serving.terminate()
        await serving.wait()


def test_a_file_without_rules_is_one_clear_error(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("- replies: []\n")
    result = CliRunner().invoke(commands.testing, ["model-server", "--rules", str(rules)])
    assert "holds no list of rules" in str(result.exception)
