"""One provider for the composition root of the llm worker: each deployment says which library speaks to it."""

import asyncio
import importlib
from collections.abc import Iterable, Sequence
from typing import Any

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.litellm_provider import LitellmProvider
from holdfast.llm.ports import ModelProvider, OnText
from schemas.models import ChatReply, ChatRequest, Deployment, EmbedReply


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
        return await provider.chat(deployment, request, on_text=on_text)

    async def embed(self, deployment: Deployment, texts: Sequence[str], *, timeout_s: float) -> EmbedReply:
        provider = await self._provider(deployment)
        return await provider.embed(deployment, texts, timeout_s=timeout_s)

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
