"""Processor time of a tree of processes where no control group counts it. Two accounts, since neither sees all.

What a process used is passed on to whoever waits for its end, and lost where nobody does: the first account remembers
what was seen of each and adds what went with nobody's account. A process that lives and ends between two looks is in
no such account. The second takes each look as a sample: whoever is new and runs stands for all that ran since the last.
"""

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from holdfast.adapters.bubblewrap.tree import Key, Seen

_TICKS = os.sysconf("SC_CLK_TCK")
_ROUNDED = 2
"""Ticks by which the two accounts of one process may differ."""
_SAMPLED_MORE, _SAMPLED_LEAST_S = 1.25, 0.2
"""How far the samples must be above what is known before they are believed."""

RunningShare = Callable[[int], float]
"""Of a process's time as ready to run, how much it ran: the rest it waited for others."""


@dataclass
class TreeClock:
    """Is shown the tree again and again; its seconds never go back."""

    seconds: float = 0.0
    _last: dict[Key, Seen] = field(default_factory=dict)
    _lost: int = 0
    _sampled: float = 0.0

    def look(self, tree: Iterable[Seen], *, since_last: float, running_share: RunningShare) -> None:
        now = {seen.key: seen for seen in tree}
        self._sampled += self._sample(now, since_last, running_share)
        self._lost += lost_between(self._last, now)
        self._last = now
        known = (self._lost + sum(seen.ticks for seen in now.values())) / _TICKS
        believed = self._sampled > known * _SAMPLED_MORE + _SAMPLED_LEAST_S
        self.seconds = max(self.seconds, self._sampled if believed else known)

    def _sample(self, now: dict[Key, Seen], since_last: float, running_share: RunningShare) -> float:
        known = now.keys() & self._last.keys()
        used = sum(now[key].own_ticks - self._last[key].own_ticks for key in known) / _TICKS
        new = (now[key].pid for key in now.keys() - known if now[key].running)
        return used + since_last * sum(running_share(pid) for pid in new)


def lost_between(before: dict[Key, Seen], after: dict[Key, Seen]) -> int:
    """Ticks of processes that ended, without those that others were told of when they waited for them."""
    ended = sum(max(0, before[key].ticks - _ROUNDED) for key in before.keys() - after.keys())
    told = sum(
        seen.waited_ticks - (before[key].waited_ticks if key in before else 0) for key, seen in after.items()
    )
    return max(0, ended - told)


def share_of_running(schedstat: bytes) -> float:
    """The root, since a sample meets a short life in its middle: it has waited in full by then, and run by half."""
    numbers = schedstat.split()
    if len(numbers) < 2:  # the kernel keeps no such account: the safe side
        return 1.0
    ran, waited = int(numbers[0]), int(numbers[1])
    return math.sqrt(ran / (ran + waited)) if ran else 0.0
