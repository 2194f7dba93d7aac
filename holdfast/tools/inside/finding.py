"""What lies in the workspace: folders listed, and text files searched, within bounds."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from typing import Any

from holdfast.tools.inside.contents import content
from holdfast.tools.inside.paths import Refused, kind_of, open_folder, pieces, printable

LINE_CHARS, SCANNED_BYTES, SCANNED_FILES = 2_000, 64_000_000, 20_000


def entries(path: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    """What lies below, folder by folder, in the order of names; links are told, never followed."""
    base = pieces(path)
    waiting: list[list[str]] = [base]
    while waiting:
        names = waiting.pop(0)
        folder = open_folder(names)
        try:
            for name in sorted(os.listdir(folder)):  # noqa: PTH208 - of a descriptor
                with contextlib.suppress(FileNotFoundError):
                    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    yield "/".join([*names, name]), facts
                    if stat.S_ISDIR(facts.st_mode) and len(names) + 1 - len(base) < depth:
                        waiting.append([*names, name])
        finally:
            os.close(folder)


def list_(request: dict[str, Any]) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    more = False
    for name, facts in entries(request["path"], request["depth"]):
        if not fnmatch.fnmatch(name.rsplit("/", 1)[-1], request["glob"]):
            continue
        if len(found) == request["limit"]:
            more = True
            break
        kind = kind_of(facts.st_mode)
        found.append(
            {"path": printable(name), "kind": kind, "size": facts.st_size, "modified": int(facts.st_mtime)}
        )
    return {"path": request["path"], "entries": found, "more": more}


def search(request: dict[str, Any]) -> dict[str, Any]:
    pattern = request["pattern"] if request["regex"] else re.escape(request["pattern"])
    try:
        wanted = re.compile(pattern, re.IGNORECASE if request["ignore_case"] else 0)
    except re.error as error:
        raise Refused("bad_pattern", f"{request['pattern']!r} is no regular expression: {error}.") from error
    found: list[dict[str, Any]] = []
    files = scanned = locked = 0
    for name, facts in files_below(request["path"]):
        if not fnmatch.fnmatch(name.rsplit("/", 1)[-1], request["glob"]) or facts.st_nlink > 1:
            continue
        files, scanned = files + 1, scanned + facts.st_size
        if files > SCANNED_FILES or scanned > SCANNED_BYTES or len(found) >= request["limit"]:
            return {"matches": found[: request["limit"]], "files": files - 1, "more": True}
        try:
            found += matches(name, wanted)
        except PermissionError:
            locked += 1
    told = {"locked": locked} if locked else {}
    more = len(found) > request["limit"]
    return {"matches": found[: request["limit"]], "files": files - locked, "more": more, **told}


def files_below(path: str) -> Iterator[tuple[str, os.stat_result]]:
    names = pieces(path)
    if names:
        folder = open_folder(names[:-1])
        facts = os.stat(names[-1], dir_fd=folder, follow_symlinks=False)
        os.close(folder)
        if stat.S_ISREG(facts.st_mode):
            yield "/".join(names), facts
            return
    for name, facts in entries(path, 32):
        if stat.S_ISREG(facts.st_mode):
            yield name, facts


def matches(name: str, wanted: re.Pattern[str]) -> list[dict[str, Any]]:
    """Lines of one file; a file with a NUL near its start is no text."""
    data = content(name)
    if b"\0" in data[:8192]:
        return []
    lines = enumerate(data.decode(errors="replace").splitlines(), 1)
    return [
        {"path": printable(name), "line": number, "text": line[:LINE_CHARS]}
        for number, line in lines
        if wanted.search(line[:10_000])
    ][:1000]
