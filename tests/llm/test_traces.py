"""A model call in a trace: its name, its counts, its error; never what was said."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.providers import Providers
from holdfast.llm.failures import ModelRateLimited
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Fault, Reply, Rule
from schemas.chat import ChatMessage, ChatRequest
from schemas.models import Deployment


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


async def test_a_call_is_a_span_without_its_words(spans: InMemorySpanExporter) -> None:
    request = ChatRequest(messages=(ChatMessage(role="user", content="a private question"),))
    providers = Providers(keys=KeyRing({}))
    limited = Reply(fault=Fault(kind="rate_limit"))
    async with ModelServer([Rule(replies=(Reply(text="a private answer", usage=(7, 3)), limited))]) as server:
        deployment = Deployment(name="d", model="test", via="openai", base_url=server.base_url)
        await providers.chat(deployment, request)
        with pytest.raises(ModelRateLimited):
            await providers.chat(deployment, request)
    await providers.close()
    answered, refused = spans.get_finished_spans()
    attributes = dict(answered.attributes or {})
    assert answered.name == "chat test"
    assert attributes["gen_ai.usage.input_tokens"] == 7
    assert attributes["gen_ai.usage.output_tokens"] == 3
    assert (refused.attributes or {})["error.type"] == "model_rate_limited"
    assert "private" not in answered.to_json() + refused.to_json()
