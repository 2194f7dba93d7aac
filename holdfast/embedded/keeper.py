"""Keeps one part up: starts it, and starts it again when it ends unasked or does not answer, later each time it ends
soon after."""

import asyncio
import time
from collections.abc import Callable

from holdfast.embedded.parts import Part, settled
from holdfast.embedded.state import PartState, PartStatus
from holdfast.errors import HoldfastError

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0
_LONG_ENOUGH_S = 60.0  # a part that ran this long is not in a crash loop
_QUESTIONS = 3  # unanswered in a row; one alone may fall into a moment in which the machine was busy

Tell = Callable[[str, str], None]
"""What happened to which part, for people."""


class Keeper:
    def __init__(self, part: Part, *, silence_s: float, tell: Tell, changed: Callable[[], None]) -> None:
        self.part = part
        self._silence_s = silence_s
        self._tell = tell
        self._changed = changed
        self._status: PartStatus = "waiting"
        self._restarts = 0
        self._in_a_row = 0
        self._note = ""
        self._watching: asyncio.Task[None] | None = None

    @property
    def state(self) -> PartState:
        lives = self._status in ("ready", "silent", "stopping")
        return PartState(
            name=self.part.name,
            status=self._status,
            pid=self.part.child.pid if lives else None,
            address=self.part.address if lives else "",
            restarts=self._restarts,
            note=self._note,
        )

    async def start(self) -> None:
        begun = time.monotonic()
        self._become("starting")
        await self.part.start()
        self._become("ready")
        self._tell(self.part.name, f"ready in {time.monotonic() - begun:.1f} s")
        self._watching = asyncio.create_task(self._watch(), name=f"keep {self.part.name}")

    async def stop(self) -> None:
        """Asked for: nobody starts it again."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._status == "waiting":
            return
        self._become("stopping" if self._status in ("ready", "silent") else self._status)
        await self.part.stop()
        self._become("stopped")

    async def _watch(self) -> None:
        while True:
            why = await self._fails()
            ran = time.monotonic() - self.part.child.started_at
            self._in_a_row = 0 if ran > _LONG_ENOUGH_S else self._in_a_row
            self._tell(self.part.name, f"{why}; starting it again")
            await self._start_again()

    async def _fails(self) -> str:
        """Waits until nothing of the part runs any more, and says why."""
        ending = asyncio.ensure_future(self.part.child.wait())
        silence = asyncio.ensure_future(self._falls_silent())
        try:
            await asyncio.wait({ending, silence}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                return f"ended unasked ({_ending(ending.result())})"
            self.part.child.kill()
            await ending
            return f"did not answer for {self._silence_s:.0f} s and was killed"
        finally:
            await settled(ending, silence)

    async def _falls_silent(self) -> None:
        """Questions are counted, not seconds: while the machine or we ourselves are suspended, nobody asks."""
        unanswered = 0
        while unanswered < _QUESTIONS:
            await asyncio.sleep(self._silence_s / _QUESTIONS / 4)
            unanswered = 0 if await self._answers() else unanswered + 1
            status: PartStatus = "silent" if unanswered else "ready"
            if status != self._status:
                self._become(status)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(self._silence_s / _QUESTIONS * 3 / 4):
                return await self.part.answers()
        except (OSError, TimeoutError):
            return False

    async def _start_again(self) -> None:
        while True:
            self._become("restarting")
            await asyncio.sleep(pause_before(self._in_a_row))
            self._in_a_row += 1
            self._restarts += 1
            try:
                await self.part.start()
            except (HoldfastError, OSError) as error:  # OSError: no process or memory left for a child
                self._note = str(error)
                self._tell(self.part.name, f"did not start again: {error}")
                continue
            self._note = ""
            self._become("ready")
            self._tell(self.part.name, "ready again")
            return

    def _become(self, status: PartStatus) -> None:
        self._status = status
        self._changed()


def pause_before(attempts_in_a_row: int) -> float:
    doublings = min(attempts_in_a_row, 16)  # a power of a thousand attempts is no float
    return min(FIRST_PAUSE_S * 2.0**doublings, LONGEST_PAUSE_S)


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
