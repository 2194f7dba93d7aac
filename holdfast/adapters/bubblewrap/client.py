"""The worker's side of the launcher: start it, hand it calls, hear of their ends."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from holdfast.adapters.bubblewrap.kernel import receive
from holdfast.adapters.bubblewrap.spec import CallReport, CallSpec, LauncherReport, LauncherSpec

_ENTRY = (
    "import sys; sys.path.insert(0, sys.argv.pop()); "
    "from holdfast.adapters.bubblewrap.launcher import main; main()"
)
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])
_MESSAGE = 4096

ListenersReceived = Callable[[list[socket.socket]], Awaitable[None]]
StreamReceived = Callable[[socket.socket], None]


class LauncherLost(Exception):
    """The launcher or a keeper ended without a report; what it held has been killed with it."""


class LauncherClient:
    """One launcher process. It ends when this object's socket closes, however this process ends."""

    def __init__(self, spec: LauncherSpec) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _ENTRY, str(theirs.fileno()), _PACKAGE_ROOT],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
            )
        self._socket = ours
        self._socket.send(spec.to_bytes())
        self.report = self._hello()

    def _hello(self) -> LauncherReport:
        self._socket.settimeout(30)
        try:
            message = self._socket.recv(_MESSAGE)
        except (TimeoutError, ConnectionError):
            message = b""
        report = LauncherReport.from_bytes(message) if message else LauncherReport(problem="it ended at once")
        if report.problem:
            self.close()
            raise LauncherLost(f"the launcher cannot work here: {report.problem}")
        self._socket.settimeout(None)
        return report

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def call(
        self,
        spec: CallSpec,
        listeners_received: ListenersReceived,
        stream_received: StreamReceived = socket.socket.close,
    ) -> CallReport:
        """Cancelling this coroutine kills the call and returns only after its keeper has ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs, _in_memory(spec) as content:
                try:
                    socket.send_fds(self._socket, [spec.workspace.encode()], [theirs.fileno(), content])
                except OSError as error:
                    raise LauncherLost(f"the launcher cannot be reached: {error}") from error
            ours.setblocking(False)
            try:
                return await _conversation(ours, listeners_received, stream_received)
            except asyncio.CancelledError:
                await asyncio.shield(_cancelled(ours, listeners_received))
                raise

    def close(self) -> None:
        """Closing the socket is the whole message; the launcher kills what runs and ends."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=15)


class _in_memory:  # noqa: N801 - reads as a verb where it is used
    """A call's description as a file without a place, open for the length of a block."""

    def __init__(self, spec: CallSpec) -> None:
        self._descriptor = os.memfd_create("call", os.MFD_CLOEXEC)
        with open(self._descriptor, "wb", closefd=False) as file:
            file.write(spec.to_bytes())

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


async def _conversation(
    channel: socket.socket,
    listeners_received: ListenersReceived,
    stream_received: StreamReceived = socket.socket.close,
) -> CallReport:
    while True:
        await _readable(channel)
        try:
            message, descriptors = receive(channel, 8)
        except OSError as error:
            raise LauncherLost(f"the supervisor of the call was lost: {error}") from error
        if message == b"listeners":
            await listeners_received([socket.socket(fileno=descriptor) for descriptor in descriptors])
        elif message == b"stream":
            stream_received(socket.socket(fileno=descriptors[0]))
        elif message == b"report":
            report = CallReport.from_bytes(_content(descriptors[0]))
            await _readable(channel)  # its end: when the caller hears of the result, the keeper has gone too
            return report
        else:
            raise LauncherLost("the supervisor of the call ended without a report")


def _content(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


async def _cancelled(channel: socket.socket, listeners_received: ListenersReceived) -> None:
    with contextlib.suppress(OSError):
        channel.send(b"cancel")
    with contextlib.suppress(LauncherLost):
        await _conversation(channel, listeners_received)


async def _readable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(channel.fileno(), settle)
    try:
        await ready
    finally:
        loop.remove_reader(channel.fileno())
