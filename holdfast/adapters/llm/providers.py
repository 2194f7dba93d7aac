"""One provider for the composition root of the llm worker: each deployment says which library speaks to it."""

import asyncio
import importlib
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.trace import Span

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.litellm_provider import LitellmProvider
from holdfast.llm.configuring import provider_of
from holdfast.llm.ports import ModelProvider, OnText
from holdfast.runtime import semconv
from holdfast.runtime.telemetry import span
from schemas.chat import ChatReply, ChatRequest, EmbedReply
from schemas.models import Deployment


class Providers:
    """Loads a library when the first of its deployments is called."""

    def __init__(self, *, keys: KeyRing) -> None:
        self._keys = keys
        self._litellm = LitellmProvider(keys=keys)
        self._loading = asyncio.Lock()
        self._openai: Any = None

    async def chat(
        self, deployment: Deployment, request: ChatRequest, *, on_text: OnText | None = None
    ) -> ChatReply:
        provider = await self._provider(deployment)
        with span("chat", deployment.model, _asked(deployment), client=True) as current:
            reply = await provider.chat(deployment, request, on_text=on_text)
            _tell(current, reply)
        return reply

    async def embed(self, deployment: Deployment, texts: Sequence[str], *, timeout_s: float) -> EmbedReply:
        provider = await self._provider(deployment)
        with span("embeddings", deployment.model, _asked(deployment), client=True) as current:
            reply = await provider.embed(deployment, texts, timeout_s=timeout_s)
            _tell(current, reply)
        return reply

    async def load(self, deployments: Iterable[Deployment]) -> None:
        """Import now what these need, so that the first call does not pay for it."""
        for via in {deployment.via for deployment in deployments}:
            await (self._litellm.load() if via == "litellm" else self._plain())

    async def close(self) -> None:
        if self._openai:
            await self._openai.close()

    async def _provider(self, deployment: Deployment) -> ModelProvider:
        return self._litellm if deployment.via == "litellm" else await self._plain()

    async def _plain(self) -> ModelProvider:
        async with self._loading:
            if self._openai is None:
                module = await asyncio.to_thread(
                    importlib.import_module, "holdfast.adapters.llm.openai_provider"
                )
                self._openai = module.OpenAIProvider(keys=self._keys)
        provider: ModelProvider = self._openai
        return provider


def _asked(deployment: Deployment) -> dict[str, str]:
    return {semconv.PROVIDER: provider_of(deployment.model), semconv.REQUEST_MODEL: deployment.model}


def _tell(current: Span, reply: ChatReply | EmbedReply) -> None:
    """Names and counts. What was said stays out of traces."""
    current.set_attribute(semconv.RESPONSE_MODEL, reply.model)
    current.set_attribute(semconv.INPUT_TOKENS, reply.usage.input_tokens)
    current.set_attribute(semconv.OUTPUT_TOKENS, reply.usage.output_tokens)
    current.set_attribute(semconv.CACHED_TOKENS, reply.usage.cached_tokens)
