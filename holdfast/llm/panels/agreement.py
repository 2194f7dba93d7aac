"""Agreement of free answers: those that mean the same stand together, and the largest group wins.

Similar wording is not agreement: "it is safe" and "it is not safe" differ in one word, "scale up" and "scale down" too.
So two answers also have to say yes or no alike, hold nothing opposed, and name compatible numbers, before their
similarity counts.
"""

import math
import re
from collections.abc import Mapping, Sequence

from holdfast.llm.panels.ballot import Ballot, Tally, no_result, total
from holdfast.llm.panels.opposites import opposed

Vectors = Mapping[str, Sequence[float]]

_ALIKE_BY_MEANING = 0.75
_ALIKE_BY_WORDS = 0.5
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nothing|neither|nor|cannot|without|unsafe|incorrect|false|wrong|unable|fail(?:s|ed)?)\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def count_agreement(ballots: Sequence[Ballot], vectors: Vectors) -> Tally:
    """`vectors` holds an embedding for each voice; without them, words are compared."""
    if not ballots:
        return no_result("no voice answered")
    groups = _groups(ballots, vectors)
    whole = total(ballots)
    breakdown = {
        f"group_{place}": round(total(group) / whole, 4) for place, group in enumerate(groups, start=1)
    }
    if len(groups) > 1 and math.isclose(total(groups[0]), total(groups[1])):
        return no_result("the voices are split into groups of equal weight", breakdown)
    largest = groups[0]
    speaker = max(largest, key=lambda each: (_closeness(each, largest, vectors), each.weight, each.voice))
    cohesion = _closeness(speaker, largest, vectors)
    return Tally(
        winner=speaker.voice,
        agreeing=frozenset(ballot.voice for ballot in largest),
        score=breakdown["group_1"],
        breakdown={**breakdown, "cohesion": round(cohesion, 4)},
    )


def _groups(ballots: Sequence[Ballot], vectors: Vectors) -> list[list[Ballot]]:
    """Complete linkage: a member is like every other member, so no chain of small steps joins opposites."""
    groups: list[list[Ballot]] = []
    for ballot in sorted(ballots, key=lambda each: (-each.weight, each.voice)):
        fitting = [group for group in groups if all(_alike(ballot, other, vectors) for other in group)]
        if fitting:
            max(fitting, key=lambda group: _closeness(ballot, group, vectors)).append(ballot)
        else:
            groups.append([ballot])
    return sorted(groups, key=lambda group: (-total(group), group[0].voice))


def _alike(one: Ballot, other: Ballot, vectors: Vectors) -> bool:
    if one.choice != other.choice or _denies(one.text) != _denies(other.text):
        return False
    if opposed(one.text, other.text) or not _compatible(_numbers(one.text), _numbers(other.text)):
        return False
    bar = _ALIKE_BY_MEANING if one.voice in vectors and other.voice in vectors else _ALIKE_BY_WORDS
    return _similarity(one, other, vectors) >= bar


def _similarity(one: Ballot, other: Ballot, vectors: Vectors) -> float:
    if one.voice in vectors and other.voice in vectors:
        return _cosine(vectors[one.voice], vectors[other.voice])
    ours, theirs = _words(one.text), _words(other.text)
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0


def _closeness(ballot: Ballot, group: Sequence[Ballot], vectors: Vectors) -> float:
    others = [_similarity(ballot, other, vectors) for other in group if other is not ballot]
    return sum(others) / len(others) if others else 1.0


def _denies(text: str) -> bool:
    return len(_NEGATION.findall(text)) % 2 == 1


def _compatible(ours: set[str], theirs: set[str]) -> bool:
    """Who says more may agree with who says less; three replicas are not none."""
    return ours <= theirs or theirs <= ours


def _numbers(text: str) -> set[str]:
    return set(_NUMBER.findall(text))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    size = math.sqrt(sum(value * value for value in one) * sum(value * value for value in other))
    return sum(a * b for a, b in zip(one, other, strict=True)) / size if size else 0.0
