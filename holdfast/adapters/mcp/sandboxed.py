"""A way to an MCP server that lives in a sandbox: one JSON message a line, as over stdio, through the sandbox's own stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import types
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage

from holdfast.sandbox.port import Conversation, Conversing
from schemas.sandbox import SandboxRequest

_Incoming = MemoryObjectSendStream[SessionMessage | Exception]
_Outgoing = MemoryObjectReceiveStream[SessionMessage]


@asynccontextmanager
async def in_sandbox(sandbox: Conversing, request: SandboxRequest) -> AsyncIterator[TransportStreams]:
    """The server lives as long as the block, and dies with it, whatever it does about that."""
    incoming, read_stream = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write_stream, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    async with sandbox.converse(request) as talk, anyio.create_task_group() as group:
        group.start_soon(_hear, talk, incoming)
        group.start_soon(_say, talk, outgoing)
        try:
            yield read_stream, write_stream
        finally:
            group.cancel_scope.cancel()
            for stream in (incoming, read_stream, write_stream, outgoing):
                stream.close()


async def _hear(talk: Conversation, incoming: _Incoming) -> None:
    """Until it ends, or says more in one line than anybody may: either way the session sees its end."""
    with incoming:
        try:
            while line := await talk.reader.readline():
                await incoming.send(_parsed(line))
        except (OSError, ValueError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


def _parsed(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:  # a server that also prints is not rare
        return error


async def _say(talk: Conversation, outgoing: _Outgoing) -> None:
    async with outgoing:
        async for message in outgoing:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            talk.writer.write(text.encode() + b"\n")
            await talk.writer.drain()
