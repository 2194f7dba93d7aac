"""Settles what was claimed, whatever becomes of the one who claimed it: a cancelled call ends at once, and its bill is
still written. What a killed process leaves behind lapses in the ledger.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Settlements:
    def __init__(self) -> None:
        self._open: set[asyncio.Task[None]] = set()

    async def through(self, settlement: Coroutine[Any, Any, None]) -> None:
        """Waits for it; a caller that is cancelled meanwhile waits no longer, and it goes on all the same."""
        task = asyncio.ensure_future(settlement)
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        await asyncio.shield(task)

    async def done(self) -> None:
        """Returns when none is under way; the ledger must stay open until then."""
        await asyncio.gather(*self._open, return_exceptions=True)
