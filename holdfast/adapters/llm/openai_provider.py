"""Models behind any OpenAI-compatible server, through the `openai` package. Imported by the llm worker only."""

import asyncio
from collections.abc import Sequence
from typing import Any

import openai
import openai.resources.chat  # it would otherwise load itself in the middle of the first call, for a second
import openai.resources.embeddings

from holdfast.adapters.llm.faults import FROM_THE_LINE, tell
from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.wire import AnswerInPieces, chat_arguments, read_completion
from holdfast.llm.failures import ModelUnreachable
from holdfast.llm.ports import OnText
from schemas.chat import ChatReply, ChatRequest, EmbedReply, TokenUsage
from schemas.models import Deployment


class OpenAIProvider:
    def __init__(self, *, keys: KeyRing) -> None:
        self._keys = keys
        self._clients: dict[tuple[str | None, str | None], openai.AsyncOpenAI] = {}

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def chat(
        self, deployment: Deployment, request: ChatRequest, *, on_text: OnText | None = None
    ) -> ChatReply:
        arguments = chat_arguments(deployment, request)
        if deployment.base_url is None:
            arguments["max_completion_tokens"] = arguments.pop("max_tokens")
        try:
            async with asyncio.timeout(request.timeout_s):
                if on_text is None:
                    completion = await self._client(deployment).chat.completions.create(
                        model=deployment.model, **arguments
                    )
                    return read_completion(deployment, request, completion)
                return await self._stream(deployment, request, arguments, on_text)
        except FROM_THE_LINE as error:
            raise tell(error, deployment, self._keys) from None

    async def _stream(
        self, deployment: Deployment, request: ChatRequest, arguments: dict[str, Any], on_text: OnText
    ) -> ChatReply:
        pieces = AnswerInPieces(deployment, request)
        stream = await self._client(deployment).chat.completions.create(
            model=deployment.model, stream=True, stream_options={"include_usage": True}, **arguments
        )
        async with stream:
            async for chunk in stream:
                if text := pieces.add(chunk):
                    await on_text(text)
        return pieces.whole()

    async def embed(self, deployment: Deployment, texts: Sequence[str], *, timeout_s: float) -> EmbedReply:
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._client(deployment).embeddings.create(
                    model=deployment.model, input=list(texts), encoding_format="float"
                )
        except FROM_THE_LINE as error:
            raise tell(error, deployment, self._keys) from None
        if len(answer.data) != len(texts):
            raise ModelUnreachable(
                f"`{deployment.name}` was given {len(texts)} texts and embedded {len(answer.data)}.",
                deployment=deployment.name,
            )
        rows = sorted(answer.data, key=lambda row: row.index)
        usage = TokenUsage(input_tokens=answer.usage.prompt_tokens)
        return EmbedReply(
            vectors=tuple(tuple(row.embedding) for row in rows), usage=usage, model=answer.model
        )

    def _client(self, deployment: Deployment) -> openai.AsyncOpenAI:
        """One client a place and key. Retries are off: whoever called decides, and every attempt is accounted for."""
        place = (deployment.base_url, deployment.key)
        if place not in self._clients:
            self._clients[place] = openai.AsyncOpenAI(
                api_key=self._keys.key_for(deployment) or "none", base_url=deployment.base_url, max_retries=0
            )
        return self._clients[place]
