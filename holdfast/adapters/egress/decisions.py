"""The record of a call's connections: each of them counts, and none can be hidden behind many others."""

from dataclasses import dataclass, field

from schemas.sandbox import NetworkDecision

_ONE_BY_ONE = 200
_SUMMED_UP = 100
_ELSEWHERE = ("", 0, "denied", "more places than are told one by one")


@dataclass
class Decisions:
    """The first ones stand alone, later ones are summed up by where they went and what became of them."""

    _alone: list[tuple[int, NetworkDecision]] = field(default_factory=list)
    _summed: dict[tuple[str, int, str, str], tuple[int, NetworkDecision]] = field(default_factory=dict)

    def append(self, number: int, decision: NetworkDecision) -> None:
        """`number` says when the tool connected, among all of its connections."""
        if len(self._alone) < _ONE_BY_ONE:
            self._alone.append((number, decision))
            return
        place: tuple[str, int, str, str] = (decision.host, decision.port, decision.verdict, decision.reason)
        if decision.verdict == "denied" and place not in self._summed and len(self._summed) >= _SUMMED_UP:
            place = _ELSEWHERE
            decision = NetworkDecision(host="", port=0, verdict="denied", reason=place[3])
        first, before = self._summed.get(place, (number, None))
        self._summed[place] = (min(first, number), _sum(before, decision) if before else decision)

    def taken(self) -> list[NetworkDecision]:
        """Those since it was asked last, for a program that lives through many calls."""
        found = self.in_order()
        self._alone, self._summed = [], {}
        return found

    def in_order(self) -> list[NetworkDecision]:
        entries = [*self._alone, *self._summed.values()]
        return [decision for _, decision in sorted(entries, key=lambda entry: entry[0])]


def _sum(one: NetworkDecision, other: NetworkDecision) -> NetworkDecision:
    return one.model_copy(
        update={
            "connections": one.connections + other.connections,
            "bytes_up": one.bytes_up + other.bytes_up,
            "bytes_down": one.bytes_down + other.bytes_down,
        }
    )
