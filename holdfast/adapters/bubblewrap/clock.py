"""Processor time of a tree of processes where no control group counts it.

What a process used is passed on to whoever waits for its end, and lost where nobody does: so what is seen of each is
remembered, and what went with nobody's account is added. A burner that forks before its own limit is caught by this.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

_TICKS = os.sysconf("SC_CLK_TCK")
_ROUNDED = 2
"""Ticks by which the two accounts of one process may differ."""

_Key = tuple[int, str]


@dataclass(frozen=True)
class Spent:
    """Of one process, in ticks: its own, and of the children it waited for."""

    own: int
    waited_for: int

    @property
    def total(self) -> int:
        return self.own + self.waited_for


@dataclass
class TreeClock:
    """Looks at the tree again and again; its seconds never go back."""

    seconds: float = 0.0
    _last: dict[_Key, Spent] = field(default_factory=dict)
    _lost: int = 0

    def look(self, tree: Iterable[int]) -> None:
        """A process that moved to another parent may be missing from the tree, so those seen before are asked for."""
        now = dict(found for pid in {*tree, *(pid for pid, _ in self._last)} if (found := _spent(pid)))
        self._lost += lost_between(self._last, now)
        self._last = now
        self.seconds = max(self.seconds, (self._lost + sum(spent.total for spent in now.values())) / _TICKS)


def lost_between(before: dict[_Key, Spent], after: dict[_Key, Spent]) -> int:
    """Ticks of processes that ended, without those that others were told of when they waited for them."""
    ended = sum(max(0, before[key].total - _ROUNDED) for key in before.keys() - after.keys())
    told = sum(
        spent.waited_for - (before[key].waited_for if key in before else 0) for key, spent in after.items()
    )
    return max(0, ended - told)


def _spent(pid: int) -> tuple[_Key, Spent] | None:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - read thousands of times
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    own, waited_for = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return (pid, fields[19]), Spent(own, waited_for)
