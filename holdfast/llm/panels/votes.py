"""Counting choices. A tie is not a decision."""

from collections import defaultdict
from collections.abc import Sequence

from holdfast.llm.panels.ballot import Ballot, Tally, no_result, total


def count_votes(ballots: Sequence[Ballot]) -> Tally:
    shares: defaultdict[str, float] = defaultdict(float)
    for ballot in ballots:
        if ballot.choice is not None:
            shares[ballot.choice] += ballot.weight
    if not shares:
        return no_result("no voice chose anything")
    whole = total(ballots)
    breakdown = {choice: round(weight / whole, 4) for choice, weight in sorted(shares.items())}
    first, *others = sorted(breakdown.items(), key=lambda item: (-item[1], item[0]))
    if others and others[0][1] == first[1]:
        return no_result(f"a tie between {first[0]!r} and {others[0][0]!r}", breakdown)
    agreeing = [ballot for ballot in ballots if ballot.choice == first[0]]
    speaker = max(agreeing, key=lambda ballot: (ballot.weight, ballot.confidence, ballot.voice))
    return Tally(
        winner=speaker.voice,
        agreeing=frozenset(ballot.voice for ballot in agreeing),
        score=first[1],
        breakdown=breakdown,
    )
