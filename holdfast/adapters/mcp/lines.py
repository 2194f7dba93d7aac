"""The way to an MCP server over its standard input and output: one JSON message a line, bounded while it is read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import types
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from holdfast.adapters.mcp.answers import (
    TOO_LARGE,
    UNREADABLE,
    Line,
    addressee,
    is_said_unasked,
    meant,
    message_in,
    refusal,
)
from schemas.base import JsonObject

_CHUNK = 64 * 1024
_LARGE = 256 * 1024
_MOST_DISCARDED = 256 * 1024 * 1024
_Incoming = MemoryObjectSendStream[SessionMessage | Exception]
_Outgoing = MemoryObjectReceiveStream[SessionMessage]


@asynccontextmanager
async def over_lines(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, most: int
) -> AsyncIterator[TransportStreams]:
    """Ends with the block, or when the server closes its output: then whoever is inside the block is cancelled."""
    incoming, read_stream = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write_stream, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    pump = _Pump(reader, writer, incoming, most)
    async with anyio.create_task_group() as group:
        group.start_soon(pump.hear)
        group.start_soon(pump.say, outgoing)
        try:
            yield read_stream, write_stream
        finally:
            group.cancel_scope.cancel()
            for stream in (incoming, read_stream, write_stream, outgoing):
                stream.close()


class _Pump:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, incoming: _Incoming, most: int
    ) -> None:
        self._reader, self._writer, self._incoming = reader, writer, incoming
        self._most = most
        self._waiting: set[int] = set()

    async def hear(self) -> None:
        """Until the server ends, or says what no call can be found for: either way the session sees its end."""
        with self._incoming:
            try:
                line = Line(self._most)
                while chunk := await self._reader.read(_CHUNK):
                    first, *more = chunk.split(b"\n")
                    await self._grow(line, first)
                    for piece in more:
                        await self._ended(line)
                        line = Line(self._most)
                        await self._grow(line, piece)
            except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    async def _grow(self, line: Line, piece: bytes) -> None:
        """An answer that is too large is refused as soon as it is; what still comes of it is thrown away."""
        line.feed(piece)
        if line.over and not line.refused:
            line.refused = await self._refused(line)
        if line.size > _MOST_DISCARDED:
            raise OSError("the server says more in one line than anybody reads")

    async def _refused(self, line: Line) -> bool:
        request = meant(bytes(line.held), self._waiting)
        if request is not None:
            await self._deliver(refusal(request, TOO_LARGE))
        return request is not None

    async def _ended(self, line: Line) -> None:
        data = bytes(line.held)
        if line.over:
            if not line.refused and not is_said_unasked(data) and self._waiting:
                raise OSError("the server answers too much, and does not say to whom")
            return
        message = await asyncio.to_thread(message_in, data) if len(data) > _LARGE else message_in(data)
        if message is not None:
            await self._deliver(message)

    async def _deliver(self, message: JsonObject) -> None:
        request = None if "method" in message else addressee(message, self._waiting)
        if request is not None:
            message = {**message, "id": request}
        elif "method" not in message:
            return  # answered before, or never asked
        try:
            parsed = types.jsonrpc_message_adapter.validate_python(message, by_name=False)
        except ValidationError:
            if request is None:
                return
            parsed = types.jsonrpc_message_adapter.validate_python(
                refusal(request, UNREADABLE), by_name=False
            )
        if request is not None:
            self._waiting.discard(request)
        await self._incoming.send(SessionMessage(parsed))

    async def say(self, outgoing: _Outgoing) -> None:
        async with outgoing:
            async for message in outgoing:
                self._note(message.message)
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                self._writer.write(text.encode() + b"\n")
                await self._writer.drain()

    def _note(self, said: types.JSONRPCMessage) -> None:
        """Who waits for an answer, and who no longer does."""
        if isinstance(said, types.JSONRPCRequest) and isinstance(said.id, int):
            self._waiting.add(said.id)
        if isinstance(said, types.JSONRPCNotification) and said.method == "notifications/cancelled":
            self._waiting.discard((said.params or {}).get("requestId", -1))
