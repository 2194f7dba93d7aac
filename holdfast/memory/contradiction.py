"""What a new item does to those that stand: it repeats one, replaces one, or stands beside them."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from holdfast.memory.commands import programs_taught
from schemas.canonical import digest_of
from schemas.memory import MemoryContent, MemoryItem, MemoryKind, MemoryStatus


class Standing(NamedTuple):
    relation: Literal["new", "same", "supersedes", "outranked"]
    item: MemoryItem | None = None


def identity(content: MemoryContent) -> str:
    """The digest of what an item says. Two with one identity are one item."""
    said = content.model_dump(mode="json", include={"kind", "scope"})
    said["text"] = _plain(content.text)
    if content.kind is MemoryKind.LESSON:
        about = content.signature
        said = {"kind": "lesson", "tool": about.tool, "error": about.error, "goal": about.goal_kind}
        said |= {key: content.data.get(key) for key in ("rule", "avoid", "do", "after")}
        if "rule" not in content.data:
            said["text"] = _plain(content.text)
    return digest_of(said)


def _plain(text: str) -> str:
    """Its words: capitals, spacing and stops make no other item."""
    return " ".join(re.findall(r"[^\W_]+(?:[-./:'][^\W_]+)*", text.casefold()))


def relation(new: MemoryContent, standing: Sequence[MemoryItem]) -> Standing:
    """Against the active items of its kind. A less trusted item never replaces a more trusted one."""
    mine = identity(new)
    for item in standing:
        if identity(item.content) == mine:
            return Standing("same", item)
    for item in standing:
        if _contradicts(new, item.content):
            return Standing("supersedes" if new.trust >= item.content.trust else "outranked", item)
    return Standing("new")


def ends_at(new: MemoryContent, old: MemoryContent, now: datetime) -> datetime | None:
    """When an old fact ceases to be so, where the new one is so only from then on."""
    starts = new.valid_from
    if new.kind is not MemoryKind.FACT or starts is None or starts <= now:
        return None
    return starts if old.valid_from is None or old.valid_from < starts else None


def renewed(old: MemoryContent, new: MemoryContent) -> MemoryContent:
    """An item that is said again: surer, in force again where it had ended, and no less vouched for."""
    told_anew = new.status is MemoryStatus.ACTIVE and new.trust > old.trust
    status = new.status if told_anew or old.status is MemoryStatus.PROPOSED else old.status
    ended = old.valid_to is not None and (new.valid_from is None or new.valid_from >= old.valid_to)
    return old.model_copy(
        update={
            "status": status,
            "confidence": min(0.99, old.confidence + 0.1 * (1 - old.confidence)),
            "trust": max(old.trust, new.trust),
            "tainted": old.tainted and (new.tainted or not told_anew),
            "valid_from": new.valid_from if ended else old.valid_from,
            "valid_to": new.valid_to,
            "expires_at": new.expires_at,
        }
    )


def _overlap(new: MemoryContent, old: MemoryContent) -> bool:
    """Whether there is a time at which both would be so."""
    ends, starts = (new.valid_to, old.valid_to), (old.valid_from, new.valid_from)
    return all(end is None or start is None or start < end for end, start in zip(ends, starts, strict=True))


def _contradicts(new: MemoryContent, old: MemoryContent) -> bool:
    if new.kind is not old.kind or new.scope != old.scope:
        return False
    if new.kind is MemoryKind.FACT:
        names = ("subject", "attribute")
        named = all(new.data.get(name) for name in names)
        same = all(new.data.get(name) == old.data.get(name) for name in names)
        return named and same and _overlap(new, old)
    if new.kind is MemoryKind.LESSON:
        about = ("goal_kind", "runbook", "tool", "error")
        same = all(getattr(new.signature, name) == getattr(old.signature, name) for name in about)
        return same and bool(new.signature.tool) and programs_taught(new.data) == programs_taught(old.data)
    return False
