"""Models of any provider, through litellm: used for its protocols, and for nothing else it offers.

The import costs seconds and 170 MB, so it happens at the first call, off the event loop, in the llm worker only.
Retries, fallbacks, caches, budgets and callbacks of the library stay off: ours are shared between workers and tell
what they did. Its telemetry would put prompts on spans.
"""

import asyncio
import importlib
import os
import warnings
from collections.abc import Sequence
from typing import Any

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.wire import AnswerInPieces, chat_arguments, read_completion
from holdfast.errors import HoldfastError
from holdfast.llm.failures import ModelUnreachable
from holdfast.llm.ports import OnText
from holdfast.llm.tokens import estimate_tokens
from schemas.chat import ChatReply, ChatRequest, EmbedReply, TokenUsage
from schemas.models import Deployment


class LitellmProvider:
    def __init__(self, *, keys: KeyRing) -> None:
        self._keys = keys
        self._loading = asyncio.Lock()
        self._litellm: Any = None

    async def chat(
        self, deployment: Deployment, request: ChatRequest, *, on_text: OnText | None = None
    ) -> ChatReply:
        litellm = await self.load()
        arguments = {
            **chat_arguments(deployment, request),
            **self._place(deployment),
            "timeout": request.timeout_s,
        }
        try:
            async with asyncio.timeout(request.timeout_s):
                if on_text is None:
                    completion = await litellm.acompletion(**arguments)
                    return read_completion(deployment, request, completion)
                return await self._stream(litellm, deployment, request, arguments, on_text)
        except HoldfastError:
            raise
        except Exception as error:  # noqa: BLE001  litellm leaks errors of every transport it wraps; here is the edge
            raise self._tell(error, deployment) from None

    async def _stream(
        self,
        litellm: Any,
        deployment: Deployment,
        request: ChatRequest,
        arguments: dict[str, Any],
        on_text: OnText,
    ) -> ChatReply:
        pieces = AnswerInPieces(deployment, request)
        stream = await litellm.acompletion(**arguments, stream=True, stream_options={"include_usage": True})
        try:
            async for chunk in stream:
                if text := pieces.add(chunk):
                    await on_text(text)
        finally:
            await stream.aclose()
        return pieces.whole()

    async def embed(self, deployment: Deployment, texts: Sequence[str], *, timeout_s: float) -> EmbedReply:
        litellm = await self.load()
        try:
            async with asyncio.timeout(timeout_s):
                answer = await litellm.aembedding(
                    input=list(texts), timeout=timeout_s, encoding_format="float", **self._place(deployment)
                )
        except Exception as error:  # noqa: BLE001  as above
            raise self._tell(error, deployment) from None
        if len(answer.data) != len(texts):
            raise ModelUnreachable(
                f"`{deployment.name}` was given {len(texts)} texts and embedded {len(answer.data)}.",
                deployment=deployment.name,
            )
        rows = sorted(answer.data, key=lambda row: int(row["index"]))
        usage = TokenUsage(input_tokens=sum(map(estimate_tokens, texts)), estimated=True)
        if answer.usage:
            usage = TokenUsage(input_tokens=answer.usage.prompt_tokens)
        vectors = tuple(tuple(row["embedding"]) for row in rows)
        return EmbedReply(vectors=vectors, usage=usage, model=answer.model or "")

    def _place(self, deployment: Deployment) -> dict[str, Any]:
        place: dict[str, Any] = {"model": deployment.model, "num_retries": 0, "max_retries": 0}
        if deployment.base_url:
            place["api_base"] = deployment.base_url
        key = self._keys.key_for(deployment)
        if key or deployment.base_url:
            place["api_key"] = key or "none"
        return place

    def _tell(self, error: Exception, deployment: Deployment) -> HoldfastError:
        from holdfast.adapters.llm.faults import tell  # noqa: PLC0415  it imports openai, which costs half a second

        return tell(error, deployment, self._keys)

    async def load(self) -> Any:
        async with self._loading:
            if self._litellm is None:
                self._litellm = await asyncio.to_thread(_import_litellm)
        return self._litellm


def _import_litellm() -> Any:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = (
        "True"  # otherwise the import fetches a price list from the network
    )
    with warnings.catch_warnings():
        # Its answer types are built at first use, and warn of their own annotations: better here than in a first call.
        warnings.simplefilter("ignore", UserWarning)
        litellm: Any = importlib.import_module("litellm")
        litellm.ModelResponse()
        litellm.ModelResponseStream()
    litellm.telemetry = False
    litellm.DEFAULT_MAX_RETRIES = 0  # embeddings take an explicit 0 for "not said", and would ask three times
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.drop_params = (
        True  # some models refuse `temperature`; what an answer must be is checked by us anyway
    )
    litellm.success_callback = []
    litellm.failure_callback = []
    return litellm
