"""Answers ranked by the other voices, on criteria, without names. Nobody scores itself."""

import hashlib
import statistics
from collections.abc import Mapping, Sequence

from holdfast.llm.panels.ballot import Ballot, Tally, no_result

Scores = Mapping[str, Mapping[str, float]]
"""Judge → voice → mean score over the criteria, 0 to 10."""

_NEAR = 0.5


def shown_to(judge: str, ballots: Sequence[Ballot], *, key: str) -> dict[str, Ballot]:
    """The others' answers under letters, in an order that differs for each judge and tells nothing."""

    def place(ballot: Ballot) -> str:
        return hashlib.sha256(f"{key}\n{judge}\n{ballot.voice}".encode()).hexdigest()

    others = sorted((ballot for ballot in ballots if ballot.voice != judge), key=place)
    return {chr(ord("A") + number): ballot for number, ballot in enumerate(others)}


def count_ranks(ballots: Sequence[Ballot], scores: Scores) -> Tally:
    """The median over the judges, so that one who praises or damns everything moves little."""
    judged = {
        ballot.voice: [
            given[ballot.voice]
            for judge, given in scores.items()
            if ballot.voice in given and judge != ballot.voice
        ]
        for ballot in ballots
    }
    medians = {voice: statistics.median(given) for voice, given in judged.items() if given}
    if not medians:
        return no_result("no answer was ranked by anybody else")
    breakdown = {voice: round(value / 10, 4) for voice, value in medians.items()}
    first, *others = sorted(medians.items(), key=lambda item: (-item[1], item[0]))
    if others and others[0][1] == first[1] and first[1] < 10:
        return no_result(f"{first[0]} and {others[0][0]} are ranked alike", breakdown)
    agreeing = frozenset(voice for voice, value in medians.items() if first[1] - value <= _NEAR)
    return Tally(winner=first[0], agreeing=agreeing, score=breakdown[first[0]], breakdown=breakdown)
