"""What a new item does to those that stand: it repeats one, replaces one, or stands beside them."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from schemas.canonical import digest_of
from schemas.memory import MemoryContent, MemoryItem, MemoryKind


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


def _contradicts(new: MemoryContent, old: MemoryContent) -> bool:
    if new.kind is not old.kind or new.scope != old.scope:
        return False
    if new.kind is MemoryKind.FACT:
        names = ("subject", "attribute")
        named = all(new.data.get(name) for name in names)
        return named and all(new.data.get(name) == old.data.get(name) for name in names)
    if new.kind is MemoryKind.LESSON:
        about = ("goal_kind", "runbook", "tool", "error")
        same = all(getattr(new.signature, name) == getattr(old.signature, name) for name in about)
        return same and bool(new.signature.tool) and new.data.get("programs") == old.data.get("programs")
    return False
