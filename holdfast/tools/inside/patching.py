"""Differences between texts of the workspace: told as a unified diff, and applied to the letter or not at all."""

from __future__ import annotations

import difflib
import re
from typing import Any

from holdfast.tools.inside.contents import TEXT_BYTES, replace, text_of
from holdfast.tools.inside.paths import Refused

COMPARED_LINES = 20_000
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def diff(request: dict[str, Any]) -> dict[str, Any]:
    before = text_of(request["path"])
    after = text_of(request["other"]) if request.get("other") else request.get("text") or ""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if max(len(old), len(new)) > COMPARED_LINES:
        raise Refused("too_large", f"More than {COMPARED_LINES} lines cannot be compared.")
    name = request.get("other") or request["path"]
    lines = difflib.unified_diff(old, new, f"a/{request['path']}", f"b/{name}")
    text = "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
    return {"diff": text[:TEXT_BYTES], "same": before == after, "more": len(text) > TEXT_BYTES}


class Hunk:
    """One `@@` piece: the lines that stood, and the lines that will stand, each with its place."""

    def __init__(self, head: re.Match[str]) -> None:
        counts = [1 if head[group] is None else int(head[group]) for group in (2, 4)]
        self.old_at = int(head[1]) - (1 if counts[0] else 0)
        self.new_at = int(head[3]) - (1 if counts[1] else 0)
        self.missing = counts
        self.old: list[str] = []
        self.new: list[str] = []
        self.last = " "

    @property
    def open(self) -> bool:
        return any(count > 0 for count in self.missing)

    def take(self, line: str) -> None:
        mark, body = (line[:1], line[1:]) if line[:1] in (" ", "-", "+") else (" ", line)
        self.last = mark
        for index, (other, side) in enumerate((("+", self.old), ("-", self.new))):
            if mark != other:
                side.append(body)
                self.missing[index] -= 1

    def without_newline(self) -> None:
        for other, side in (("+", self.old), ("-", self.new)):
            if self.last != other and side:
                side[-1] = side[-1].rstrip("\n")


def patch(request: dict[str, Any]) -> dict[str, Any]:
    """To the letter: every line of context must stand in the file. A patch that was applied before is not again."""
    lines = text_of(request["path"]).splitlines(keepends=True)
    hunks = read_hunks(request["patch"])
    if all(was_applied(lines, hunk) for hunk in hunks):
        if all(place_of(lines, hunk.old, hunk.old_at) is not None for hunk in hunks if hunk.old and hunk.new):
            raise Refused(
                "ambiguous", "It fits, and may have been applied before; give it more lines of context."
            )
        return {
            "path": request["path"],
            "hunks": len(hunks),
            "applied": False,
            "note": "It was applied before.",
        }
    moved = 0
    for number, hunk in enumerate(hunks, 1):
        at = place_of(lines, hunk.old, hunk.old_at + moved)
        if at is None:
            raise Refused(
                "does_not_apply", f"Hunk {number} does not fit {request['path']!r}; nothing was changed."
            )
        lines[at : at + len(hunk.old)] = hunk.new
        moved += len(hunk.new) - len(hunk.old)
    replace(request["path"], "".join(lines).encode())
    return {"path": request["path"], "hunks": len(hunks), "applied": True}


def read_hunks(text: str) -> list[Hunk]:
    hunks: list[Hunk] = []
    for line in text.splitlines(keepends=True):
        head = HUNK.match(line)
        if hunks and line.startswith("\\"):
            hunks[-1].without_newline()
        elif hunks and hunks[-1].open:
            hunks[-1].take(line if line.endswith("\n") else f"{line}\n")
        elif head:
            hunks.append(Hunk(head))
    if not hunks or hunks[-1].open:
        raise Refused("bad_patch", "There is no whole hunk (`@@ -1,2 +1,2 @@` and its lines) in the patch.")
    return hunks


def was_applied(lines: list[str], hunk: Hunk) -> bool:
    return stands(lines, hunk.new, hunk.new_at) if hunk.new else not stands(lines, hunk.old, hunk.old_at)


def stands(lines: list[str], wanted: list[str], at: int) -> bool:
    return at >= 0 and lines[at : at + len(wanted)] == wanted


def place_of(lines: list[str], wanted: list[str], at: int) -> int | None:
    """Where it says, or the one other place where it fits."""
    if stands(lines, wanted, at):
        return at
    if not wanted:
        return None
    places = [start for start in range(len(lines) - len(wanted) + 1) if stands(lines, wanted, start)]
    return places[0] if len(places) == 1 else None
