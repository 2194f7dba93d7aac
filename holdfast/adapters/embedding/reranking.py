"""Reranks by any endpoint that speaks `POST /rerank` as Cohere, Jina, vLLM, TEI and litellm's proxy do."""

from collections.abc import Sequence
from typing import Any

import httpx

from holdfast.errors import Unavailable
from schemas.knowledge import SearchHit

_CHARS = 4_000


class HttpReranker:
    """Fulfils `holdfast.knowledge.ports.Reranker`."""

    def __init__(self, *, url: str, model: str = "", key: str | None = None, timeout_s: float = 10.0) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._url = url if url.rstrip("/").endswith("/rerank") else f"{url.rstrip('/')}/rerank"
        self._model = model
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout_s)

    async def close(self) -> None:
        await self._client.aclose()

    async def rerank(self, query: str, hits: Sequence[SearchHit]) -> Sequence[float]:
        texts = [f"{hit.document.title}\n{hit.snippet}"[:_CHARS] for hit in hits]
        # TEI calls them `texts`, all others `documents`; each ignores the other's word.
        body: dict[str, Any] = {"query": query, "documents": texts, "texts": texts, "top_n": len(texts)}
        if self._model:
            body["model"] = self._model
        try:
            response = await self._client.post(self._url, json=body)
            response.raise_for_status()
            return _scores(response.json(), len(hits))
        except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError) as error:
            raise Unavailable(
                f"The reranker did not answer as one does: {type(error).__name__}.",
                remedy="Check HOLDFAST_KNOWLEDGE__RERANK_URL, or unset it.",
            ) from error


def _scores(answer: Any, wanted: int) -> list[float]:
    rows = answer if isinstance(answer, list) else answer.get("results", answer.get("data"))
    scores: list[float | None] = [None] * wanted
    for row in rows:
        scores[row["index"]] = float(row.get("relevance_score", row.get("score")))
    if any(score is None for score in scores):
        raise KeyError("a hit without a score")
    return [score for score in scores if score is not None]
