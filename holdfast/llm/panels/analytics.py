"""What many panels say about the models that sat on them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import mean, median

from holdfast.llm.statistics import interval_of
from schemas.models import TrackRecord
from schemas.panels import PanelAnalytics, PanelResult, VoiceAnswer

_UNKNOWN = 0.5
_LEAST = 0.05


def weights_from(records: Sequence[TrackRecord]) -> Mapping[str, float]:
    """How much a deployment counts for: the share of its answers that stood with consensus, at the cautious end."""
    return {
        record.deployment: max(_LEAST, interval_of(record.successes, record.calls)[0]) for record in records
    }


def weight_of(deployment: str, weights: Mapping[str, float]) -> float:
    return weights.get(deployment, _UNKNOWN)


def analysed(results: Sequence[PanelResult]) -> PanelAnalytics:
    by_method: defaultdict[str, list[PanelResult]] = defaultdict(list)
    for result in results:
        by_method[result.method.value].append(result)
    voices = [voice for result in results for voice in result.voices]
    settled = [voice for result in results if not result.escalate for voice in _live(result)]
    return PanelAnalytics(
        panels=len(results),
        escalated=sum(result.escalate for result in results),
        agreement=_matrix(results),
        reliability=_shares((voice.deployment, voice.agrees) for voice in settled),
        answered=_shares((voice.deployment, voice.state == "answered") for voice in voices),
        scores=dict(sorted(Counter(_tenth(result.score) for result in results).items())),
        panels_by_method={name: len(each) for name, each in sorted(by_method.items())},
        cost_by_method={
            name: mean(result.cost_usd for result in each) for name, each in sorted(by_method.items())
        },
        latency_by_method={
            name: median(result.latency_ms for result in each) for name, each in sorted(by_method.items())
        },
    )


def _matrix(results: Sequence[PanelResult]) -> dict[str, dict[str, float]]:
    """Two voices of one model say nothing about two models."""
    pairs: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    for result in results:
        for one, other in combinations(sorted(_live(result), key=lambda each: each.deployment), 2):
            agreed = _agreed(one, other, result)
            if agreed is not None and one.deployment != other.deployment:
                pairs[one.deployment, other.deployment].append(agreed)
    matrix: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for (one_name, other_name), agreements in pairs.items():
        matrix[one_name][other_name] = matrix[other_name][one_name] = round(mean(agreements), 4)
    return dict(matrix)


def _agreed(one: VoiceAnswer, other: VoiceAnswer, result: PanelResult) -> bool | None:
    """None where nobody can tell: free answers without a leading one."""
    if one.choice is not None and other.choice is not None:
        return one.choice == other.choice
    return (one.agrees and other.agrees) if result.answer else None


def _live(result: PanelResult) -> Sequence[VoiceAnswer]:
    return [voice for voice in result.voices if voice.state == "answered"]


def _shares(facts: Iterable[tuple[str, bool]]) -> dict[str, float]:
    found: defaultdict[str, list[bool]] = defaultdict(list)
    for name, holds in facts:
        found[name].append(holds)
    return {name: round(mean(each), 4) for name, each in sorted(found.items())}


def _tenth(score: float) -> str:
    return f"{int(min(score, 0.999) * 10) / 10:.1f}"
