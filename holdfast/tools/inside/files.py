"""File tools, inside the sandbox. Paths are walked one name at a time, and no link is ever followed.

A link could only lead to the sandbox's own read-only root, but a tool that says `notes.txt` should mean `notes.txt`.
"""

from __future__ import annotations

import base64
import contextlib
import difflib
import errno
import fnmatch
import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from typing import Any

WORKSPACE = "/workspace"
TEXT_BYTES, BINARY_BYTES, LINE_CHARS = 120_000, 60_000, 2_000
SCANNED_BYTES, SCANNED_FILES, COMPARED_LINES = 64_000_000, 20_000, 20_000
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


class Refused(Exception):
    """What was asked for is not done; the code and the words are for the caller."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def pieces(path: str) -> list[str]:
    inner = path[len(WORKSPACE) :] if path == WORKSPACE or path.startswith(WORKSPACE + "/") else path
    names = [name for name in inner.split("/") if name not in ("", ".")]
    if ".." in names or "\0" in path or (path.startswith("/") and inner == path):
        raise Refused("outside_workspace", f"{path!r} is not a path inside the workspace.")
    return names


def open_folder(names: list[str], *, make: bool = False) -> int:
    folder = os.open(WORKSPACE, os.O_RDONLY | os.O_DIRECTORY)
    for name in names:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        os.close(folder)
        folder = inner
    return folder


def open_file(path: str) -> int:
    names = pieces(path)
    if not names:
        raise Refused("not_a_file", f"{path!r} is the workspace itself.")
    folder = open_folder(names[:-1])
    try:
        file = os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    check_plain(os.fstat(file), path)
    return file


def check_plain(facts: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise Refused("not_a_file", f"{path!r} is a {kind_of(facts.st_mode)}, not a file.")
    if facts.st_nlink > 1:
        raise Refused("hard_link", f"{path!r} has more than one name; it may be another file as well.")


def kind_of(mode: int) -> str:
    kinds = (
        (stat.S_ISREG, "file"),
        (stat.S_ISDIR, "folder"),
        (stat.S_ISLNK, "link"),
        (stat.S_ISFIFO, "pipe"),
    )
    return next((name for test, name in kinds if test(mode)), "device")


def content(path: str, most: int = SCANNED_BYTES) -> bytes:
    with os.fdopen(open_file(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Refused("too_large", f"{path!r} is larger than {most} bytes.")
    return data


def text_of(path: str) -> str:
    try:
        return content(path, 4_000_000).decode()
    except UnicodeDecodeError as error:
        raise Refused("binary", f"{path!r} is not UTF-8 text.") from error


def read(request: dict[str, Any]) -> dict[str, Any]:
    with os.fdopen(open_file(request["path"]), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(request["offset"])
        data = file.read(min(request["limit"], TEXT_BYTES))
    answer = {"path": request["path"], "size": size, "offset": request["offset"], "bytes": len(data)}
    text = whole_characters(data)
    if text is None:
        data = data[:BINARY_BYTES]
    more = request["offset"] + len(data) < size
    shown = {"text": text} if text is not None else {"base64": base64.b64encode(data).decode()}
    return {**answer, "bytes": len(data), "more": more, **shown}


def whole_characters(data: bytes) -> str | None:
    """A piece of a text may begin and end in the middle of a character. None where it is no text."""
    if b"\0" in data:
        return None
    for start in range(min(4, len(data) + 1)):
        for end in range(min(4, len(data) - start + 1)):
            with contextlib.suppress(UnicodeDecodeError):
                return data[start : len(data) - end].decode()
    return None


def write(request: dict[str, Any]) -> dict[str, Any]:
    data = request["text"].encode() if request.get("base64") is None else decoded(request["base64"])
    existed = replace(request["path"], data, create_only=request["create_only"])
    return {"path": request["path"], "bytes": len(data), "created": not existed}


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Refused("bad_base64", f"What stands in base64 is none: {error}.") from error


def replace(path: str, data: bytes, *, create_only: bool = False) -> bool:
    """Whole or not at all. Answers whether there was a file before."""
    names = pieces(path)
    if not names:
        raise Refused("not_a_file", f"{path!r} is the workspace itself.")
    folder = open_folder(names[:-1], make=True)
    existed = True
    try:
        check_plain(os.stat(names[-1], dir_fd=folder, follow_symlinks=False), path)
    except FileNotFoundError:
        existed = False
    if existed and create_only and content(path) != data:
        raise Refused("exists", f"{path!r} exists already, with other content.")
    fresh = f".{os.getpid()}.part"
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
    try:
        with os.fdopen(file, "wb") as target:
            target.write(data)
        os.rename(fresh, names[-1], src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(fresh, dir_fd=folder)
        raise
    return existed


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
    files = scanned = 0
    for name, facts in files_below(request["path"]):
        if not fnmatch.fnmatch(name.rsplit("/", 1)[-1], request["glob"]) or facts.st_nlink > 1:
            continue
        files, scanned = files + 1, scanned + facts.st_size
        if files > SCANNED_FILES or scanned > SCANNED_BYTES or len(found) >= request["limit"]:
            return {"matches": found[: request["limit"]], "files": files - 1, "more": True}
        found += matches(name, wanted)
    return {"matches": found[: request["limit"]], "files": files, "more": len(found) > request["limit"]}


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


def printable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


OPERATIONS = {"read": read, "write": write, "list": list_, "search": search, "diff": diff, "patch": patch}


def said_of(path: str, error: OSError) -> dict[str, str]:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return {"code": "link", "message": f"{path!r} leads through what is no folder, or a link."}
    return {"code": "io_error", "message": f"{path[:200]!r}: {error.strerror}."}


def main() -> None:
    request = json.load(sys.stdin)
    try:
        answer = OPERATIONS[request["operation"]](request)
    except Refused as error:
        answer = {"error": {"code": error.code, "message": str(error)}}
    except FileNotFoundError:
        answer = {
            "error": {"code": "not_found", "message": f"There is no {request['path']!r} in the workspace."}
        }
    except OSError as error:
        answer = {"error": said_of(request["path"], error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
