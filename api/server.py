"""uvicorn, with three things it lacks: a client that does not finish its headers is sent away, so is one that does not
take what it asked for, and event streams are told to end before the server waits for them."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import h11
import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from holdfast.runtime.readiness import tell_ready
from holdfast.runtime.settings import ApiSettings
from schemas.problems import MEDIA_TYPE, Problem

log = structlog.get_logger(__name__)

HEADER_S = 10.0
"""How long a client may take from connecting, or from its first byte, to the end of the headers."""
STALLED_S = 30.0
_TAKEN_BYTES = 16 * 1024
"""What a reader must take in that time, while more waits for it."""

_HEARD_BYTES = 16 * 1024
"""Nothing that a reader of events sends means anything; it need not be long."""


class Patience:
    """How long a full buffer waits for its reader. A reader that stands still, or nearly, is cut off: its connection
    would else hold one of the streams, or the memory of a long answer, for ever. A stream can be resumed."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._wait(self._transport.get_write_buffer_size())

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, waiting: int) -> None:
        self.end()
        self._timer = asyncio.get_running_loop().call_later(STALLED_S, self._look, waiting)

    def _look(self, before: int) -> None:
        waiting = self._transport.get_write_buffer_size()
        if before - waiting >= _TAKEN_BYTES:
            self._wait(waiting)
            return
        log.info("reader_stalled", waiting_bytes=waiting)
        self._transport.abort()


class PunctualSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose reader may not stand still."""

    _patience: Patience

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._patience = Patience(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._patience.begin()

    def resume_writing(self) -> None:
        self._patience.end()
        super().resume_writing()


class PunctualProtocol(H11Protocol):
    """Closes a connection whose headers do not arrive in time, its first or later ones, and one whose answer is not
    taken: a slow client costs a socket for that long."""

    _deadline: asyncio.TimerHandle | None = None
    _patience: Patience

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._patience = Patience(transport)
        self._begin_waiting()

    def handle_events(self) -> None:
        super().handle_events()
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self.conn.trailing_data[0]:
            self._begin_waiting()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so in the words of every other error."""
        problem = Problem(title="The request is no HTTP", status=400, code="invalid_input", detail=msg)
        headers = [("Content-Type", MEDIA_TYPE), ("Connection", "close")]
        for event in (
            h11.Response(status_code=problem.status, headers=headers, reason=b"Bad Request"),
            h11.Data(data=problem.model_dump_json(exclude_none=True).encode()),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._patience.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._patience.begin()

    def resume_writing(self) -> None:
        self._patience.end()
        super().resume_writing()

    def _begin_waiting(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_S, self._give_up)

    def _give_up(self) -> None:
        self.transport.close()

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def server_config(app: FastAPI, settings: ApiSettings, *, port: int | None = None) -> uvicorn.Config:
    """How uvicorn serves this app. Port 0 takes a free one."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port if port is None else port,
        http=PunctualProtocol,
        ws=PunctualSocket,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        ws_max_size=_HEARD_BYTES,
        ws_ping_interval=settings.heartbeat_s,
        h11_max_incomplete_event_size=32 * 1024,
    )


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, *, end_streams: Callable[[], Any]) -> None:
        super().__init__(config)
        self.end_streams = end_streams

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            tell_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.end_streams()
        await super().shutdown(sockets)
        # uvicorn would raise the signal again after a shutdown that went well, and the exit code would tell of a crash.
        self._captured_signals.clear()
