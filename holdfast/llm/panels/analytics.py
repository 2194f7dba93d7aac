"""What many panels say about the models that sat on them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import mean

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
    pairs: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    stood: defaultdict[str, list[bool]] = defaultdict(list)
    costs: defaultdict[str, list[float]] = defaultdict(list)
    scores: Counter[str] = Counter()
    for result in results:
        scores[f"{int(min(result.score, 0.999) * 10) / 10:.1f}"] += 1
        costs[result.method.value].append(result.cost_usd)
        if not result.escalate:
            _add(result.voices, pairs, stood)
    return PanelAnalytics(
        panels=len(results),
        agreement=_matrix(pairs),
        reliability={name: round(mean(each), 4) for name, each in sorted(stood.items())},
        scores=dict(sorted(scores.items())),
        cost_by_method={name: mean(each) for name, each in sorted(costs.items())},
        escalated=sum(result.escalate for result in results),
    )


def _add(
    voices: Sequence[VoiceAnswer],
    pairs: defaultdict[tuple[str, str], list[bool]],
    stood: defaultdict[str, list[bool]],
) -> None:
    live = [voice for voice in voices if voice.state == "answered"]
    for voice in live:
        stood[voice.deployment].append(voice.agrees)
    for one, other in combinations(sorted(live, key=lambda each: each.deployment), 2):
        if one.deployment != other.deployment:
            pairs[one.deployment, other.deployment].append(one.agrees and other.agrees)


def _matrix(pairs: Mapping[tuple[str, str], list[bool]]) -> dict[str, dict[str, float]]:
    matrix: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for (one, other), agreed in pairs.items():
        matrix[one][other] = matrix[other][one] = round(mean(agreed), 4)
    return dict(matrix)
