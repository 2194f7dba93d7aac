"""Answers of a server over HTTP, bounded while they are read: a whole body, or one event of a stream at a time."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from mcp.shared._httpx_utils import create_mcp_http_client

from holdfast.adapters.mcp.answers import TOO_LARGE, UNREADABLE, message_in, refusal

_ENDS = (b"\r\n\r\n", b"\n\n", b"\r\r")


def bounded_client(headers: dict[str, str], *, most: int) -> httpx2.AsyncClient:
    """Asks for answers as they are: a packed one could grow a thousandfold after it was counted."""
    client = create_mcp_http_client(headers={**headers, "accept-encoding": "identity"})

    async def bound(response: httpx2.Response) -> None:
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response, response.stream, most)

    client.event_hooks = {"request": [], "response": [bound]}
    return client


class _Bounded(httpx2.AsyncByteStream):
    """The stream of a response, with a refusal in place of what is too large or cannot be read."""

    def __init__(self, response: httpx2.Response, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most
        self._request = _id_of(response.request)
        kind = response.headers.get("content-type", "").lower()
        self._events = kind.startswith("text/event-stream")
        self._packed = response.headers.get("content-encoding", "identity").lower() != "identity"
        if self._packed:
            del response.headers["content-encoding"]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._packed:
            yield self._refusal(UNREADABLE)
        elif self._events:
            async for piece in self._each_event():
                yield piece
        else:
            yield await self._body()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def _body(self) -> bytes:
        held = bytearray()
        async for piece in self._stream:
            held += piece
            if len(held) > self._most:
                return self._refusal(TOO_LARGE)
        return self._checked(bytes(held))

    async def _each_event(self) -> AsyncIterator[bytes]:
        """Each as it ends. After one that is too large nothing more is read: the request has its answer."""
        held = bytearray()
        async for piece in self._stream:
            held += piece
            while (end := _end_of_event(held)) is not None:
                yield self._event(bytes(held[:end]))
                del held[:end]
            if len(held) > self._most:
                yield self._refusal(TOO_LARGE)
                return
        yield bytes(held)

    def _event(self, event: bytes) -> bytes:
        lines = event.splitlines()
        data = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
        if not data:
            return event
        message = message_in(data)
        if message is None:
            return b""  # a notification: nobody waits for it
        others = [line for line in lines if line and not line.startswith(b"data:")]
        return b"\n".join((*others, b"data: " + json.dumps(message).encode(), b"", b""))

    def _checked(self, body: bytes) -> bytes:
        message = message_in(body) if self._request is not None and body.strip() else None
        return body if message is None else json.dumps(message).encode()

    def _refusal(self, code: int) -> bytes:
        if self._request is None:
            return b""
        text = json.dumps(refusal(self._request, code)).encode()
        return b"event: message\ndata: " + text + b"\n\n" if self._events else text


def _end_of_event(held: bytearray) -> int | None:
    ends: list[int] = [at + len(mark) for mark in _ENDS if (at := held.find(mark)) >= 0]
    return min(ends, default=None)


def _id_of(request: httpx2.Request) -> int | None:
    try:
        found: Any = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return None
    identity = found.get("id") if isinstance(found, dict) else None
    return identity if isinstance(identity, int) else None
