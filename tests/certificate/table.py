"""The table of `make certify`: where something was killed, how the run ended, and what the outside world counted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    killed: str
    status: str
    events: int
    effects: Mapping[str, int]

    @property
    def words(self) -> str:
        done = " ".join(f"{name} {count}" for name, count in self.effects.items())
        return f"{self.killed:<34} {self.status:<10} {self.events:>6}  {done}"


_rows: list[Row] = []


def note(killed: str, status: str, events: int, effects: Mapping[str, int]) -> None:
    """Before anything is asserted of it, so that the table shows what went wrong as well."""
    _rows.append(Row(killed, status, events, effects))


def lines() -> Iterator[str]:
    if _rows:
        yield f"{'killed at':<34} {'run':<10} {'events':>6}  how often each effect reached the world"
        yield from (row.words for row in _rows)
        yield f"{len(_rows)} runs"
