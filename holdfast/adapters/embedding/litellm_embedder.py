"""Embeddings of any provider that litellm knows, by the name litellm gives the model: `cohere/embed-english-v3.0`."""

from collections.abc import Sequence

import numpy as np

from holdfast.adapters.embedding.rows import unit_rows
from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.litellm_provider import LitellmProvider
from holdfast.knowledge.ports import Vectors
from schemas.models import Deployment

_BATCH = 96
_CHARS = 24_000
_KEY = "embedding"


class LitellmEmbedder:
    """Fulfils `holdfast.knowledge.ports.Embedder`. Without a key litellm takes the provider's own variable."""

    def __init__(
        self,
        *,
        model: str,
        dimensions: int,
        key: str | None = None,
        base_url: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._deployment = Deployment(name=_KEY, model=model, base_url=base_url, key=_KEY if key else None)
        self._provider = LitellmProvider(keys=KeyRing({_KEY: key} if key else {}))
        self._timeout_s = timeout_s
        self.dimensions = dimensions

    @property
    def model(self) -> str:
        return f"{self._deployment.model}@{self.dimensions}"

    async def close(self) -> None:
        """Nothing of ours is open: the library holds its connections."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        parts = [await self._batch(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimensions), np.float32)

    async def _batch(self, texts: Sequence[str]) -> Vectors:
        asked = [text[:_CHARS] or " " for text in texts]
        reply = await self._provider.embed(self._deployment, asked, timeout_s=self._timeout_s)
        return unit_rows(
            reply.vectors, wanted=len(texts), dimensions=self.dimensions, model=self._deployment.model
        )
