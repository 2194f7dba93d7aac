"""One HTTP exchange: problems become our errors again, and what may be repeated is repeated."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from pydantic import BaseModel, ValidationError

from holdfast.errors import HoldfastError, InvalidInput, Unavailable
from schemas.base import JsonObject
from schemas.problems import Problem

_ATTEMPTS = 4
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0
_PAGE = 200

Query = Mapping[str, Any]
Item = TypeVar("Item", bound=BaseModel)


class Wire:
    """Sends requests with the key, and answers with JSON or with one of our errors."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: JsonObject | None = None,
        headers: Mapping[str, str] | None = None,
        patience_s: float = 0,
    ) -> httpx.Response:
        """Sent again where that is safe: reads are, and so is what carries an Idempotency-Key."""
        safe = method != "POST" or "Idempotency-Key" in (headers or {})
        for attempt in range(_ATTEMPTS):
            try:
                return await self._once(method, path, query, body, headers, patience_s)
            except HoldfastError as error:
                if not (safe and error.retryable) or attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(wait_s(attempt, error.retry_after_s))
        raise AssertionError

    async def post(
        self,
        path: str,
        body: JsonObject,
        *,
        query: Query | None = None,
        key: str | None = None,
        patience_s: float = 0,
    ) -> httpx.Response:
        """Post something once, however often it has to be sent."""
        headers = {"Idempotency-Key": key or uuid4().hex}
        return await self.ask("POST", path, query=query, body=body, headers=headers, patience_s=patience_s)

    async def _once(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: JsonObject | None,
        headers: Mapping[str, str] | None,
        patience_s: float,
    ) -> httpx.Response:
        content = None if body is None else json.dumps(body)
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if content is not None else {})}
        try:
            response = await self._http.request(
                method, path, params=_given(query), content=content, headers=sent, timeout=30 + patience_s
            )
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise error_of(response)
        return response

    async def items(self, path: str, item: type[Item], *, query: Query | None = None) -> AsyncIterator[Item]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            response = await self.ask("GET", path, query={**(query or {}), "cursor": cursor, "limit": _PAGE})
            page = response.json()
            for found in page["items"]:
                yield item.model_validate(found)
            cursor = page["next"]
            if cursor is None:
                return

    async def whole(self, path: str, item: type[Item], *, query: Query | None = None) -> Sequence[Item]:
        """A list that is one page."""
        response = await self.ask("GET", path, query=query)
        return [item.model_validate(found) for found in response.json()["items"]]

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """A response whose lines come as they are told. Silence longer than several heartbeats is a dead connection."""
        timeout = httpx.Timeout(30.0, read=75.0)
        try:
            async with self._http.stream(
                "GET", path, params=_given(query), headers=dict(headers), timeout=timeout
            ) as response:
                if response.is_error:
                    await response.aread()
                    raise error_of(response)
                yield response
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx.HTTPError) -> Unavailable:
        return Unavailable(
            f"The API at {self._http.base_url} does not answer: {type(error).__name__}.",
            remedy="Is it up? `holdfast up` starts one here; HOLDFAST_API_URL names another.",
        )


def wait_s(attempt: int, retry_after_s: float | None) -> float:
    """Doubling, with chance, so that many clients do not come back at once; the server's word counts for more."""
    wait = retry_after_s or _FIRST_WAIT_S * 2**attempt
    return float(min(wait, _LONGEST_WAIT_S) * random.uniform(0.8, 1.2))  # noqa: S311 - no secret hangs on it


def error_of(response: httpx.Response) -> HoldfastError:
    """The error of our tree that the server raised; what is no problem of ours is an inner error of something between."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        kind = Unavailable if response.status_code in (502, 503, 504) else HoldfastError
        return kind(f"The API answered {response.status_code}, and not in its own words.")
    known = {kind.code: kind for kind in _tree(HoldfastError)}
    by_status = InvalidInput if response.status_code < 500 else HoldfastError
    error = known.get(problem.code, by_status)(
        problem.detail or problem.title,
        remedy=problem.remedy,
        retry_after_s=_seconds(response.headers.get("Retry-After")),
        trace_id=problem.trace_id,
        problem=problem,
    )
    error.retryable = problem.retryable  # type: ignore[misc] # the server's word on this one error
    return error


def _tree(kind: type[HoldfastError]) -> Iterator[type[HoldfastError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None


def _given(query: Query | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value is not None}
