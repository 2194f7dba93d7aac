"""As much of an HTTP/1.1 server as a test model needs: requests one after another, streams, and a line that can be cut."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True)
class HttpRequest:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class HttpResponse:
    """Writes one response. One that is not ended is broken: the line is cut behind it."""

    writer: asyncio.StreamWriter
    ended: bool = field(default=False)

    async def send_json(
        self, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        await self.send(json.dumps(value).encode(), status=status, headers=headers)

    async def send(self, data: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        length = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
        await self._head(status, length)
        self.ended = True
        self.writer.write(data)
        await self.writer.drain()

    async def start_stream(self) -> None:
        await self._head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})

    async def send_event(self, data: str) -> None:
        frame = f"data: {data}\n\n".encode()
        self.writer.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")
        await self.writer.drain()

    async def end_stream(self) -> None:
        self.ended = True
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self.writer.drain()


Handler = Callable[[HttpRequest, HttpResponse], Awaitable[None]]


class HttpServer:
    """Listens until it is closed; whoever is connected then is hung up on."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()

    async def listen(self, *, host: str, port: int) -> int:
        """The port comes back: 0 takes a free one."""
        limit = 64 * 1024 * 1024
        self._server = await asyncio.start_server(self._accept, host, port, limit=limit)
        taken: int = self._server.sockets[0].getsockname()[1]
        return taken

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.create_task(self._converse(reader, writer))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ahead, ended = b"", True
        try:
            while ended:
                request = await _read_request(reader, ahead)
                response = HttpResponse(writer)
                ahead = await _until_hung_up(self._handler(request, response), reader)
                ended = response.ended
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller is gone, which is a thing callers may do
        finally:
            with contextlib.suppress(ConnectionError):
                writer.close()
                await writer.wait_closed()


async def _read_request(reader: asyncio.StreamReader, ahead: bytes) -> HttpRequest:
    """`ahead` is what was read of it already."""
    head = (ahead + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return HttpRequest(method=method, path=path, headers=headers, body=body)


async def _until_hung_up(work: Awaitable[None], reader: asyncio.StreamReader) -> bytes:
    """Cancels the answering when the caller closes the line, as a provider does. What comes back is the beginning of
    the caller's next request, if it was that quick."""
    answering = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({answering, listening}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done() and listening.exception() is None and listening.result():
            await asyncio.wait({answering})
    finally:
        for task in (answering, listening):
            task.cancel()
        answered, heard = await asyncio.gather(answering, listening, return_exceptions=True)
    if isinstance(answered, Exception):
        raise answered
    return heard if isinstance(heard, bytes) else b""
