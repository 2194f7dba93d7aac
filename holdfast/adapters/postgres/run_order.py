"""The orders runs are listed in, and the place of a run in each: what it is sorted by, then its id, so that no two are equal."""

from dataclasses import dataclass
from typing import Literal, LiteralString

from schemas.runs import Run

RunSort = Literal["created_at", "ended_at", "status", "spend_usd"]
NOT_ENDED = "infinity"
"""What has not ended stands behind whatever has."""

_KEYS: dict[RunSort, tuple[LiteralString, LiteralString]] = {
    "created_at": ("r.created_at", "timestamptz"),
    "ended_at": ("coalesce(r.ended_at, 'infinity')", "timestamptz"),
    "status": ('r.status collate "C"', "text"),
    "spend_usd": ("r.spend_usd", "numeric"),
}


@dataclass(frozen=True)
class RunPlace:
    """The place between two runs of a sorted list."""

    key: str
    id: str


@dataclass(frozen=True)
class RunOrder:
    sort: RunSort = "created_at"
    descending: bool = True

    @property
    def beyond(self) -> LiteralString:
        """The condition that a run stands behind the parameters `key` and `id`; it holds for all without them."""
        key, kind = _KEYS[self.sort]
        than: LiteralString = "<" if self.descending else ">"
        return f"(%(key)s::{kind} is null or ({key}, r.id) {than} (%(key)s::{kind}, %(id)s))"

    @property
    def by(self) -> LiteralString:
        direction: LiteralString = "desc" if self.descending else "asc"
        return f"{_KEYS[self.sort][0]} {direction}, r.id {direction}"

    def place(self, run: Run) -> RunPlace:
        if self.sort == "ended_at":
            return RunPlace(run.ended_at.isoformat() if run.ended_at else NOT_ENDED, run.id)
        if self.sort == "created_at":
            return RunPlace(run.created_at.isoformat(), run.id)
        return RunPlace(str(getattr(run, self.sort)), run.id)
