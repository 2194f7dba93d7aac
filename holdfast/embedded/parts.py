"""The parts of a stack as the supervisor sees them: each can be started until it is ready, awaited, and stopped."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from holdfast.embedded.nursery import Nursery
from holdfast.errors import Misconfigured, Unavailable
from holdfast.runtime.process import Child, last_words
from holdfast.runtime.readiness import NotifySocket

_READY_PATIENCE_S = 60.0

OURSELVES = (sys.executable, "-P", "-m", "holdfast")
"""`-P`: a folder called `api` or `workers` where somebody starts us must not take the place of ours."""


class Part(Protocol):
    """What the supervisor keeps up."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def child(self) -> Child: ...

    async def start(self) -> None:
        """Returns once it is ready; raises, with nothing left running, if it does not become so."""
        ...

    async def stop(self) -> None: ...

    async def answers(self) -> bool:
        """Whether it does its work at this moment. May take for ever where it does not: the caller has the clock."""
        ...


class Program:
    """One of our own processes, `holdfast ...` forked in the nursery, which says itself when it is ready."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        nursery: Nursery,
        drain_s: float,
        silence_s: float,
        address: str = "",
        patience_s: float = _READY_PATIENCE_S,
    ) -> None:
        self.name = name
        self.address = address
        self._arguments = tuple(arguments)
        self._log = log
        self._environment = environment
        self._nursery = nursery
        self._drain_s = drain_s
        self._silence_s = silence_s
        self._patience_s = patience_s
        self._child: Child | None = None
        self._notices: NotifySocket | None = None

    @property
    def child(self) -> Child:
        if self._child is None:
            raise Unavailable(f"{self.name} has not been started.")
        return self._child

    async def start(self) -> None:
        notices = self._listen()
        try:
            self._child = await self._nursery.fork(
                self.name,
                self._arguments,
                environment={**self._environment, **notices.variables},
                log=self._log,
            )
            await self._becomes_ready(notices)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(patience_s=self._drain_s)
        if self._notices is not None:
            self._notices.close()

    async def answers(self) -> bool:
        """Its event loop turns."""
        if self._notices is None:
            return False
        await self._notices.beat()
        return True

    def _listen(self) -> NotifySocket:
        """A socket of its own for each start: what a predecessor said last is not what its successor says."""
        if self._notices is not None:
            self._notices.close()
        self._notices = NotifySocket(beat_within_s=self._silence_s / 4)
        return self._notices

    async def _becomes_ready(self, notices: NotifySocket) -> None:
        says = asyncio.ensure_future(notices.ready())
        ends = asyncio.ensure_future(self.child.wait())
        try:
            await asyncio.wait({says, ends}, timeout=self._patience_s, return_when=asyncio.FIRST_COMPLETED)
            if says.done():
                return
            if ends.done():
                words = last_words(self._log, lines=1).removeprefix("error: ")
                raise Misconfigured(f"{self.name} did not start: {words}", remedy=f"The log is {self._log}.")
            raise Unavailable(
                f"{self.name} was not ready in {self._patience_s:.0f} s.", remedy=f"See {self._log}."
            )
        finally:
            await settled(says, ends)


async def settled(*waiting: asyncio.Future[Any]) -> None:
    """Cancelled and let go: a socket may be closed only when nobody waits on it any more."""
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
