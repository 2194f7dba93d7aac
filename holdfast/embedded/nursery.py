"""The supervisor's end of the nursery: a process that has imported what all of ours import, and forks them.

Five processes that import the same thousand modules at once need six seconds of processor time; forked after one import
they need one, also when one is started again. See docs/adr/0002-embedded-stack.md.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from holdfast.errors import Unavailable
from holdfast.runtime.process import Child, last_words
from schemas.base import Payload

_PROGRAM = (sys.executable, "-P", "-m", "holdfast.cli.nursery")
_PATIENCE_S = 30.0


class Birth(Payload):
    """What the supervisor asks for: a process of this name with these arguments, environment and log.

    The environment lies in a file of the supervisor's memory, which the child alone reads: what the nursery itself has
    read, such as the key of a model, would be in the memory of every later child.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Path
    log: Path


class News(Payload):
    """What the nursery tells: a process was born, or it ended, and how."""

    pid: int
    exit_code: int | None = None


class Forked:
    """A child of the nursery as `Child` wants it: its end is what the nursery says of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        return self.ended.result() if self.ended.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self.ended)


class Nursery:
    """Opened once with the stack; opened again by the next birth where somebody killed it.

    Its children end with it, so that none can outlive the supervisor, with which it ends itself.
    """

    def __init__(self, environment: Mapping[str, str], *, log: Path) -> None:
        self._environment = dict(environment)
        self._log = log
        self._opening = asyncio.Lock()
        self._process: Child | None = None
        self._requests: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._expected: list[asyncio.Future[Forked]] = []
        self._living: dict[int, Forked] = {}

    async def open(self) -> None:
        async with self._opening:
            if self._listening is not None and not self._listening.done():
                return
            ours, its = socket.socketpair()
            with its:
                fd = (its.fileno(),)
                self._process = await Child.start(
                    [*_PROGRAM, str(its.fileno())], log=self._log, env=self._environment, pass_fds=fd
                )
            news, self._requests = await asyncio.open_unix_connection(sock=ours)
            self._listening = asyncio.create_task(self._listen(news), name="listen to the nursery")

    async def close(self) -> None:
        if self._process is not None:
            await self._process.end()
        if self._listening is not None:
            await self._listening

    async def fork(
        self, name: str, arguments: Sequence[str], *, environment: Mapping[str, str], log: Path
    ) -> Child:
        """The process exists when this returns; where nobody waits any more, it is ended as soon as it does."""
        await self.open()
        expected: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        self._expected.append(expected)
        file = _in_memory(environment)
        expected.add_done_callback(partial(_let_go, file))
        place = Path(f"/proc/{os.getpid()}/fd/{file}")
        self._send(Birth(name=name, arguments=tuple(arguments), environment=place, log=log))
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return Child(await asyncio.shield(expected))
        except TimeoutError as error:
            expected.add_done_callback(_unwanted)
            if self._process is not None:
                self._process.kill()
            raise Unavailable("The nursery does not answer.", remedy=f"See {self._log}.") from error
        except asyncio.CancelledError:
            expected.add_done_callback(_unwanted)
            raise

    def _send(self, birth: Birth) -> None:
        if self._requests is not None:
            self._requests.write(birth.model_dump_json().encode() + b"\n")

    async def _listen(self, news: asyncio.StreamReader) -> None:
        """Until the nursery is gone, and with it all that it bore."""
        with suppress(ConnectionError):
            async for line in news:
                self._hear(News.model_validate_json(line))
        if self._requests is not None:
            self._requests.close()
        for forked in self._living.values():
            forked.ended.set_result(-signal.SIGKILL)
        for expected in self._expected:
            expected.set_exception(
                Unavailable(
                    f"The nursery ended: {last_words(self._log, lines=1)}", remedy=f"See {self._log}."
                )
            )
        self._living.clear()
        self._expected.clear()

    def _hear(self, news: News) -> None:
        if news.exit_code is not None:
            self._living.pop(news.pid).ended.set_result(news.exit_code)
            return
        self._living[news.pid] = forked = Forked(news.pid)
        self._expected.pop(0).set_result(forked)


def _in_memory(environment: Mapping[str, str]) -> int:
    file = os.memfd_create("environment")
    with open(file, "w", closefd=False) as opened:
        json.dump(dict(environment), opened)
    return file


def _let_go(file: int, expected: asyncio.Future[Forked]) -> None:
    """The child reads it when it likes: it is there until the child's end."""
    if expected.cancelled() or expected.exception() is not None:
        os.close(file)
    else:
        expected.result().ended.add_done_callback(lambda _: os.close(file))


def _unwanted(expected: asyncio.Future[Forked]) -> None:
    if not expected.cancelled() and expected.exception() is None:
        os.kill(expected.result().pid, signal.SIGKILL)
