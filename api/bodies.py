"""Reads bodies before a route does: bounded in size, time and depth, so that no route has to fear what it parses."""

import asyncio
import json
import math
from collections.abc import Set as AbstractSet
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.errors import HoldfastError, InvalidInput, TooLarge

_WITH_BODY = {"POST", "PUT", "PATCH", "DELETE"}
_READ_S = 30.0
_LONG_BYTES = 256 * 1024
"""Checking more than this takes long enough to be done beside other requests, not before them."""
DEPTH = 64
CONTENT = frozenset({"text", "data"})
"""Where each item of a body is judged by itself, what these members hold is for the route to judge."""


class UnsupportedMediaType(HoldfastError):
    """This media type is not read here."""

    code = "unsupported_media_type"
    status = 415


class RequestTooSlow(HoldfastError):
    """The body did not come in time."""

    code = "request_timeout"
    status = 408
    retryable = True


class Bodies:
    def __init__(self, app: ASGIApp, *, limit_bytes: int, upload_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._upload_bytes = upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
            await self._app(scope, receive, send)
            return
        rule = scope["state"]["rule"]
        headers = Headers(scope=scope)
        limit = self._upload_bytes if rule.upload else self._limit_bytes
        try:
            async with asyncio.timeout(_READ_S):
                body = await _read(receive, headers, limit)
        except TimeoutError as error:
            raise RequestTooSlow(f"The body did not come within {_READ_S:g} s.") from error
        _refuse_encoded(headers)
        content_type = headers.get("content-type", "")
        apart = CONTENT if rule.apart else frozenset[str]()
        if len(body) > _LONG_BYTES:
            await asyncio.to_thread(check_json, body, content_type, apart=apart)
        else:
            check_json(body, content_type, apart=apart)
        scope["state"]["body"] = body
        await self._app(scope, _replay(body, receive), send)


async def _read(receive: Receive, headers: Headers, limit: int) -> bytes:
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("The body ended before its end.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _refuse_encoded(headers: Headers) -> None:
    """A compressed body could be a thousand times what it claims to be."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType(f"The body is encoded as {encoding}.", remedy="Send it as it is.")


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever really comes: the end of the connection."""
    left = [body]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again


def check_json(body: bytes, content_type: str, *, apart: AbstractSet[str] = frozenset()) -> None:
    if not body:
        return
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(
            f"The body is sent as {content_type or 'nothing'}.", remedy="Send Content-Type: application/json."
        )
    try:
        # json.loads would guess UTF-16 from bytes.
        text = body.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_members)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise InvalidInput("The body is no JSON in UTF-8.") from None
    _walk(value, apart)


def _walk(value: Any, apart: AbstractSet[str]) -> None:
    """Without recursion, as that is what it guards against. Refuses also what Postgres cannot keep as text."""
    level = [value]
    for _ in range(DEPTH + 1):
        following: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                following.extend(one.keys())
                following.extend(
                    held for name, held in one.items() if not (name in apart and isinstance(held, str))
                )
            elif isinstance(one, list):
                following.extend(one)
            elif isinstance(one, str):
                _check_text(one)
            elif isinstance(one, float) and not math.isfinite(one):
                raise InvalidInput("A number in the body is too large.")
        if not following:
            return
        level = following
    raise _too_deep()


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What is named twice means one thing to us and another to whoever checked it before us."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise InvalidInput("An object in the body names a member twice.")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise InvalidInput("A text in the body holds a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput("A text in the body holds half a surrogate pair.") from None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is over {limit} bytes.", remedy="Send less, or refer to an artifact.")


def _too_deep() -> InvalidInput:
    return InvalidInput(f"The body nests deeper than {DEPTH} levels.")
