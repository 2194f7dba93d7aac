"""How much an item is worth to this run: how near it is, how fresh, and how it served before. All of it is added."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from holdfast.memory.commands import programs_taught
from schemas.memory import Cues, MemoryItem, MemoryKind, RecallSettings

Match = Literal["signature", "related", "like"]
_HALF_LIVES: Mapping[MemoryKind, float | None] = {
    MemoryKind.EPISODE: 1.0,
    MemoryKind.LESSON: 6.0,
    MemoryKind.FACT: None,
}
_STEP: Mapping[Match, float] = {"signature": 2.0, "related": 1.0, "like": 0.0}
DENSE, WORDS = 0.8, 0.2


@dataclass(frozen=True, slots=True)
class Scored:
    item: MemoryItem
    score: float
    match: Match
    parts: Mapping[str, float]


def match_of(item: MemoryItem, cues: Cues, kind: str) -> Match:
    """How the item's signature meets the cues."""
    about = item.content.signature
    if about.error and cues.error and about.error != cues.error:
        return "like"
    exact = (
        (about.goal_kind and about.goal_kind == kind)
        or (about.alert and about.alert == cues.alert)
        or (_of_tool(item, cues) and about.error and about.error == cues.error)
    )
    if exact:
        return "signature"
    related = about.runbook in cues.runbooks if about.runbook else False
    return "related" if related or _of_tool(item, cues) else "like"


def _of_tool(item: MemoryItem, cues: Cues) -> bool:
    """Whether it is about a tool at hand; of a tool that runs any program, about a program at hand."""
    programs = programs_taught(item.content.data)
    met = not programs or not set(programs).isdisjoint(cues.programs)
    return item.content.signature.tool in cues.tools and met


def relevance(cosine: float | None, shared: float) -> float:
    """Between 0 and 1, from the cosine and the share of rare words in common; words alone count whole."""
    return shared if cosine is None else DENSE * max(cosine, 0.0) + WORDS * shared


def least_cosine(near: float) -> float:
    """So like in meaning an item is at least that is as relevant as this, be all its words in common."""
    return (near - WORDS) / DENSE if near > WORDS else -1.0


def score(
    item: MemoryItem, *, match: Match, relevant: float, now: datetime, settings: RecallSettings
) -> Scored:
    parts = {
        "relevance": relevant,
        "recency": settings.recency_weight * freshness(item, now, settings),
        "usefulness": settings.usefulness_weight * (item.helped - item.hurt) / (item.used + 2),
        "importance": 0.05 * item.content.importance,
    }
    return Scored(item, _STEP[match] + sum(parts.values()), match, parts)


def freshness(item: MemoryItem, now: datetime, settings: RecallSettings) -> float:
    """1 when it was just confirmed, a half after a half-life; facts do not fade, they become invalid."""
    factor = _HALF_LIVES[item.content.kind]
    if factor is None:
        return 0.0
    days = max(0.0, (now - item.confirmed_at).total_seconds() / 86_400)
    return float(2 ** (-days / (settings.half_life_days * factor)))


def chosen(scored: Collection[Scored], settings: RecallSettings) -> list[Scored]:
    """The best of each kind, few of them; likeness alone counts only from `near` on."""
    room = {
        MemoryKind.LESSON: settings.lessons,
        MemoryKind.FACT: settings.facts,
        MemoryKind.EPISODE: settings.episodes,
    }
    taken: list[Scored] = []
    for each in sorted(scored, key=lambda one: (-one.score, one.item.id)):
        near = each.match != "like" or each.parts["relevance"] >= settings.near
        if near and room[each.item.content.kind] > 0:
            room[each.item.content.kind] -= 1
            taken.append(each)
    return taken


def told(each: Scored) -> str:
    """Why it was recalled, for people."""
    about = {
        "signature": "the same kind of goal, alert or error",
        "related": "the same runbook or tool",
        "like": "much the same words and meaning",
    }[each.match]
    parts = ", ".join(f"{name} {value:+.2f}" for name, value in each.parts.items())
    return f"{about} ({parts})"
