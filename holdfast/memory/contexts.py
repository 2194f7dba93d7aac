"""What is recalled, as text for a planner, within a budget of tokens. Text from outside is marked, never instruction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.knowledge import SearchHit
from schemas.memory import MemoryHit, Trust
from schemas.plans import Citation
from schemas.stages import Recalled

_CHARS_A_TOKEN = 3.6
_RECENT, _OLDER, _NAMED, _SUMMED_UP = 1200, 160, 60, 1500
_ONE = 2400


def tokens_in(text: str) -> int:
    """About how many tokens a text has; no tokenizer is asked, so it counts on the safe side."""
    return int(len(text) / _CHARS_A_TOKEN) + 1


def within(budget: int, items: Iterable[Recalled]) -> list[Recalled]:
    """The items in order, as many as fit; one that does not fit is left out, and a smaller one may follow."""
    kept = []
    for item in items:
        cost = tokens_in(item.text) + 20
        if cost <= budget:
            budget -= cost
            kept.append(item)
    return kept


def hit_as_recalled(hit: MemoryHit) -> Recalled:
    content = hit.item.content
    return Recalled(
        cite=Citation(
            source="memory",
            id=hit.item.id,
            version=hit.item.version,
            title=content.kind.value,
            section=content.signature.tool,
        ),
        text=content.text[:_ONE],
        score=hit.score,
        why=hit.why,
        untrusted=content.tainted or content.trust is Trust.EXTERNAL,
    )


def runbook_as_recalled(hit: SearchHit) -> Recalled:
    """A passage of a runbook, to be cited by document, version and section."""
    document = hit.document
    return Recalled(
        cite=Citation(
            id=document.id, version=document.version, title=document.title, section=" > ".join(hit.section)
        ),
        text=f"{document.title}\n{hit.snippet}"[:_ONE],
        score=hit.score,
        why=hit.why,
    )


def thread_as_recalled(rows: Sequence[Mapping[str, Any]], *, runs: int) -> list[Recalled]:
    """The earlier runs of a conversation, newest first: two in full, ten in a line each, all before them as one. `runs` says
    how many there are in all.

    What sums up the oldest comes first, since a budget is spent in order: one of the ten lines may be left out, never it.
    """
    single = [_earlier(row, room) for row, room in zip(rows, (_RECENT,) * 2 + (_OLDER,) * 10, strict=False)]
    older = rows[len(single) :]
    return [_summed_up(older, runs - len(single)), *single] if older else single


def _summed_up(rows: Sequence[Mapping[str, Any]], runs: int) -> Recalled:
    goals = "; ".join(f"{row['goal'][:_NAMED].strip()} ({row['status']})" for row in rows)
    return Recalled(
        cite=Citation(source="memory", id=rows[0]["id"], title="earlier runs"),
        text=f"Before those told singly, {runs} runs, the last of them: {goals}"[:_SUMMED_UP],
        why="the same thread",
        untrusted=True,
    )


def _earlier(row: Mapping[str, Any], room: int) -> Recalled:
    text = f"Earlier in this conversation: {row['goal'][:room]} — {row['status']}. {row['answer'][:room]}"
    cite = Citation(source="memory", id=row["id"], title="earlier run")
    return Recalled(cite=cite, text=text, why="the same thread", untrusted=True)
