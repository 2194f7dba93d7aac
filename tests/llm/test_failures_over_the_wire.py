"""Every way a model can fail, injected over HTTP, through both adapters: one request each, one kind of error each."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Literal

import pytest

from holdfast.adapters.llm.faults import retry_after
from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.providers import Providers
from holdfast.adapters.llm.wire import tool_call
from holdfast.errors import HoldfastError
from holdfast.llm import failures
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import AskedTool, Fault, FaultKind, Match, Reply, Rule
from schemas.base import JsonObject
from schemas.chat import ChatMessage, ChatRequest, OutputForm, ToolOffer
from schemas.models import Deployment

SECRET = "sk-not-a-real-key-0123456789abcdef"
Via = Literal["litellm", "openai"]
VIAS: tuple[Via, ...] = ("litellm", "openai")

EXPECTED: dict[FaultKind, tuple[type[HoldfastError], bool]] = {
    "rate_limit": (failures.ModelRateLimited, True),
    "quota": (failures.ModelKeyRefused, False),
    "key": (failures.ModelKeyRefused, False),
    "unknown_model": (failures.ModelUnknown, False),
    "context": (failures.ContextOverflow, False),
    "content": (failures.ContentRefused, False),
    "bad_request": (failures.RequestRefused, False),
    "overloaded": (failures.ModelUnreachable, True),
    "server_error": (failures.ModelUnreachable, True),
    "credit": (failures.ModelKeyRefused, False),
    "too_large": (failures.ContextOverflow, False),
}


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as running:
        yield running


@pytest.fixture(scope="module")
async def providers() -> AsyncIterator[Providers]:
    """litellm loads much of itself in its first call, which on a busy machine takes longer than these calls may."""
    each = Providers(keys=KeyRing({"test": SECRET}))
    async with ModelServer([Rule(replies=(Reply(text="hello"),))]) as first:
        await each.chat(at(first, "litellm"), say(timeout_s=100))
    yield each
    await each.close()


class Ear:
    def __init__(self) -> None:
        self.heard: list[str] = []

    async def __call__(self, text: str) -> None:
        self.heard.append(text)


def at(server: ModelServer, via: Via, **changes: object) -> Deployment:
    model = "openai/test" if via == "litellm" else "test"
    return Deployment(name="test", model=model, via=via, base_url=server.base_url, key="test").model_copy(
        update=changes
    )


def say(text: str = "hello", **changes: object) -> ChatRequest:
    return ChatRequest(messages=(ChatMessage(role="user", content=text),), timeout_s=10).model_copy(
        update=changes
    )


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("kind", EXPECTED)
async def test_a_refusal_is_one_request_and_one_kind_of_error(
    server: ModelServer, providers: Providers, via: Via, kind: FaultKind, *, streamed: bool
) -> None:
    server.rules.append(Rule(replies=(Reply(fault=Fault(kind=kind)),)))
    expected, retryable = EXPECTED[kind]
    with pytest.raises(expected) as raised:
        await providers.chat(at(server, via), say(), on_text=Ear() if streamed else None)
    assert raised.value.retryable is retryable
    assert raised.value.ids["deployment"] == "test"
    assert len(server.calls) == 1


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("kind", EXPECTED)
async def test_embedding_fails_in_the_same_kinds(
    server: ModelServer, providers: Providers, via: Via, kind: FaultKind
) -> None:
    server.rules.append(Rule(match=Match(endpoint="embeddings"), replies=(Reply(fault=Fault(kind=kind)),)))
    expected, retryable = EXPECTED[kind]
    with pytest.raises(expected) as raised:
        await providers.embed(at(server, via), ["a"], timeout_s=10)
    assert raised.value.retryable is retryable
    assert len(server.calls) == 1


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("kind", ["rate_limit", "overloaded", "server_error"])
async def test_a_provider_may_give_up_in_the_middle_of_a_stream(
    server: ModelServer, providers: Providers, via: Via, kind: FaultKind
) -> None:
    server.rules.append(Rule(replies=(Reply(text="x" * 200, fault=Fault(kind=kind, midway=3)),)))
    ear = Ear()
    with pytest.raises(HoldfastError) as raised:
        await providers.chat(at(server, via), say(), on_text=ear)
    assert isinstance(raised.value, failures.ModelUnreachable | failures.ModelRateLimited)
    assert raised.value.retryable
    assert ear.heard
    assert len(server.calls) == 1


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("kind", ["rate_limit", "overloaded"])
async def test_the_provider_says_when_to_come_back(
    server: ModelServer, providers: Providers, via: Via, kind: FaultKind
) -> None:
    server.rules.append(Rule(replies=(Reply(fault=Fault(kind=kind, retry_after_s=7)),)))
    with pytest.raises(HoldfastError) as raised:
        await providers.chat(at(server, via), say())
    assert raised.value.retry_after_s == 7


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize(
    "line", [Reply(text="x" * 200, break_after=3), Reply(garbage=True)], ids=["cut", "garbage"]
)
async def test_a_broken_line_is_worth_another_try(
    server: ModelServer, providers: Providers, via: Via, line: Reply, *, streamed: bool
) -> None:
    server.rules.append(Rule(replies=(line,)))
    with pytest.raises(failures.ModelUnreachable):
        await providers.chat(at(server, via), say(), on_text=Ear() if streamed else None)
    assert len(server.calls) == 1


@pytest.mark.parametrize("via", VIAS)
async def test_nobody_listening_is_unreachable(server: ModelServer, providers: Providers, via: Via) -> None:
    with pytest.raises(failures.ModelUnreachable):
        await providers.chat(at(server, via, base_url="http://127.0.0.1:9/v1"), say())


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("via", VIAS)
async def test_a_model_that_is_too_slow_is_given_up(
    server: ModelServer, providers: Providers, via: Via, *, streamed: bool
) -> None:
    await providers.load([at(server, via)])
    server.rules.append(
        Rule(replies=(Reply(text="x" * 1000, piece=1, pause_s=0.05, delay_s=0 if streamed else 30),))
    )
    with pytest.raises(failures.ModelTimedOut):
        await providers.chat(at(server, via), say(timeout_s=0.4), on_text=Ear() if streamed else None)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("via", VIAS)
async def test_cancelling_stops_the_request(
    server: ModelServer, providers: Providers, via: Via, *, streamed: bool
) -> None:
    server.rules.append(
        Rule(replies=(Reply(text="x" * 1000, piece=1, pause_s=0.05, delay_s=0 if streamed else 30),))
    )
    asking = asyncio.ensure_future(
        providers.chat(at(server, via), say(), on_text=Ear() if streamed else None)
    )
    async with asyncio.timeout(30):
        await server.until(lambda calls: len(calls) > 0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await server.until(lambda calls: calls[0].outcome == "abandoned")


@pytest.mark.parametrize("via", VIAS)
async def test_streamed_pieces_add_up_to_the_answer(
    server: ModelServer, providers: Providers, via: Via
) -> None:
    words = "Grüße, 世界! " * 20
    server.rules.append(Rule(replies=(Reply(text=words, piece=7, usage=(11, 22)),)))
    ear = Ear()
    reply = await providers.chat(at(server, via), say(), on_text=ear)
    assert "".join(ear.heard) == reply.text == words
    assert len(ear.heard) > 10
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.estimated) == (11, 22, False)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("via", VIAS)
async def test_a_bill_that_was_not_sent_is_estimated(
    server: ModelServer, providers: Providers, via: Via, *, streamed: bool
) -> None:
    server.rules.append(Rule(replies=(Reply(text="four words are here", hide_usage=True),)))
    reply = await providers.chat(at(server, via), say(), on_text=Ear() if streamed else None)
    assert reply.usage.input_tokens > 0
    assert reply.usage.output_tokens > 0


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("via", VIAS)
async def test_tools_are_offered_and_their_calls_are_read(
    server: ModelServer, providers: Providers, via: Via, *, streamed: bool
) -> None:
    server.rules.append(
        Rule(replies=(Reply(tool_calls=(AskedTool(name="df", arguments={"host": "web-1"}),)),))
    )
    request = say(tools=(ToolOffer(name="df", description="Disk."),))
    reply = await providers.chat(at(server, via), request, on_text=Ear() if streamed else None)
    assert reply.finish == "tool_calls"
    assert (reply.tool_calls[0].name, reply.tool_calls[0].arguments) == ("df", {"host": "web-1"})
    assert server.calls[0].body["tools"][0]["function"]["name"] == "df"


@pytest.mark.parametrize("levels", [300, 5_000, 50_000])
def test_arguments_too_deep_to_be_stored_are_left_unread(levels: int) -> None:
    arguments = '{"a":' + "[" * levels + "]" * levels + "}"
    read = tool_call("1", "df", arguments)
    assert read.arguments == {"_unreadable": arguments}
    assert read.model_dump_json()


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("structured", ["schema", "json", "none"])
async def test_a_form_is_asked_for_in_the_way_the_model_knows(
    server: ModelServer, providers: Providers, via: Via, structured: str
) -> None:
    server.rules.append(Rule(replies=(Reply(data={"a": 1}),)))
    schema: JsonObject = {"type": "object", "properties": {"a": {"type": "integer"}}}
    request = say(form=OutputForm(name="thing", json_schema=schema))
    reply = await providers.chat(at(server, via, structured=structured), request)
    assert reply.text == '{"a": 1}'
    wanted = server.calls[0].body.get("response_format", {}).get("type")
    assert wanted == {"schema": "json_schema", "json": "json_object", "none": None}[structured]


@pytest.mark.parametrize("via", VIAS)
async def test_embeddings_come_back_in_order(server: ModelServer, providers: Providers, via: Via) -> None:
    reply = await providers.embed(at(server, via), ["a b", "c d", "a b"], timeout_s=5)
    assert len(reply.vectors) == 3
    assert reply.vectors[0] == reply.vectors[2] != reply.vectors[1]
    assert reply.usage.input_tokens > 0


@pytest.mark.parametrize("via", VIAS)
async def test_a_key_is_in_no_error_and_no_log(
    server: ModelServer, providers: Providers, via: Via, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.rules.append(Rule(replies=(Reply(fault=Fault(kind="key")),)))
    with pytest.raises(failures.ModelKeyRefused) as raised:
        await providers.chat(at(server, via), say())
    assert server.calls[0].with_key
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
    assert SECRET not in repr(KeyRing({"test": SECRET}))
    assert not [record for record in caplog.records if SECRET in record.getMessage()]


async def test_a_key_that_is_not_held_is_named_with_its_remedy(
    server: ModelServer, providers: Providers
) -> None:
    with pytest.raises(failures.ModelKeyRefused, match="llm worker"):
        await providers.chat(at(server, "openai", key="elsewhere"), say())
    assert not server.calls


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_may_be_a_date_that_has_passed() -> None:
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
