"""Embeddings from any endpoint that speaks `POST /embeddings` as OpenAI does: hosted, a gateway, vLLM, TEI, Ollama."""

from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

from holdfast.adapters.embedding.rows import unit_rows
from holdfast.errors import Forbidden, InvalidInput, LimitReached, Unavailable
from holdfast.knowledge.ports import Vectors

OPENAI = "https://api.openai.com/v1"
_BATCH = 128
_CHARS = 24_000


class OpenAICompatible:
    """Fulfils `holdfast.knowledge.ports.Embedder`. Vectors come back at unit length, whatever the endpoint does."""

    def __init__(
        self,
        *,
        model: str,
        dimensions: int,
        key: str | None = None,
        base_url: str = OPENAI,
        timeout_s: float = 60.0,
    ) -> None:
        self._name = model
        self.dimensions = dimensions
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.AsyncClient(base_url=base_url.rstrip("/"), headers=headers, timeout=timeout_s)

    @property
    def model(self) -> str:
        """A shortened vector is another vector: its length is part of the name."""
        return f"{self._name}@{self.dimensions}"

    @property
    def base_url(self) -> str:
        return str(self._client.base_url)

    async def close(self) -> None:
        await self._client.aclose()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        parts = [await self._batch(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimensions), np.float32)

    async def _batch(self, texts: Sequence[str]) -> Vectors:
        body: dict[str, Any] = {"model": self._name, "input": [text[:_CHARS] or " " for text in texts]}
        if "text-embedding-3" in self._name:
            body["dimensions"] = self.dimensions
        try:
            response = await self._client.post("/embeddings", json=body)
        except httpx.HTTPError as error:
            raise Unavailable(
                f"The embedding endpoint cannot be reached: {type(error).__name__}.", model=self._name
            ) from error
        _refuse_bad(response, self._name)
        return self._vectors(response, len(texts))

    def _vectors(self, response: httpx.Response, wanted: int) -> Vectors:
        try:
            rows = sorted(response.json()["data"], key=lambda row: row["index"])
            found = [row["embedding"] for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable("The embedding endpoint answered something else.", model=self._name) from error
        return unit_rows(found, wanted=wanted, dimensions=self.dimensions, model=self._name)


def _refuse_bad(response: httpx.Response, model: str) -> None:
    status = response.status_code
    if status < 400:
        return
    if status in (401, 403):
        raise Forbidden(
            f"The embedding endpoint refused the key ({status}).",
            remedy="Check the embedding key.",
            model=model,
        )
    if status == 429:
        wait = response.headers.get("retry-after", "")
        raise LimitReached(
            "The embedding endpoint asks to slow down.",
            retry_after_s=float(wait) if wait.replace(".", "", 1).isdigit() else None,
            model=model,
        )
    if status >= 500:
        raise Unavailable(f"The embedding endpoint answered {status}.", model=model)
    raise InvalidInput(f"The embedding endpoint refused the texts ({status}).", model=model)
