"""Files in and out of a call's workspace. Everything below the directory was written by hostile hands.

The run's workspace lives in a store on the host; a call works on a copy in a limited tmpfs of its own, and what it
changed is written back when it ends. So a worker that dies in mid-call leaves the store as it was before the call.
Every open goes through `open_beneath`; names are bytes, since a tool may choose any.
"""

import base64
import contextlib
import errno
import math
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from holdfast.adapters.bubblewrap.kernel import open_beneath

MAX_DEPTH = 64
_CHUNK = 1 << 20
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW

Stamp = tuple[int, int]
"""Inode and change time. A tool can forge a modification time, but not these two."""


class BadName(ValueError):
    """A file name that leaves the workspace, or that no file system can hold."""


@dataclass
class Copied:
    """What a copy saw: the stamp of every entry, and how many were left out."""

    stamps: dict[bytes, Stamp] = field(default_factory=dict)
    left_out: int = 0
    largest: int = 0
    cut_short: bool = False


def checked_name(name: str) -> bytes:
    """A relative path of ordinary parts."""
    raw = name.encode(errors="surrogateescape")
    parts = raw.split(b"/")
    if (
        b"\x00" in raw
        or len(raw) > 1024
        or any(part in (b"", b".", b"..") or len(part) > 255 for part in parts)
    ):
        raise BadName(f"{name[:80]!r} is not a plain path below the workspace")
    return raw


def place(directory: int, name: bytes, content: bytes) -> None:
    """Write a file anew: what stood there is removed, never opened, so a planted link is not followed."""
    parent, leaf = parent_of(directory, name, make=True)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(leaf, dir_fd=parent)
        descriptor = open_beneath(parent, leaf, CREATE, 0o644)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(content)
    finally:
        os.close(parent)


def collect(directory: int, name: str, room: int) -> dict[str, object]:
    """One file as base64, or the reason why not. Only a regular file with a single link is read."""
    try:
        content = _content_of(directory, checked_name(name), room)
    except (BadName, PermissionError) as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": _why_not(error)}
    return {"ok": True, "b64": base64.b64encode(content).decode()}


def _content_of(directory: int, name: bytes, room: int) -> bytes:
    parent, leaf = parent_of(directory, name, make=False)
    try:
        descriptor = open_beneath(parent, leaf, READ)
    finally:
        os.close(parent)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise PermissionError("not a regular file")
        if facts.st_nlink != 1:
            raise PermissionError("the file has more than one link")
        if facts.st_size > room:
            raise PermissionError(f"too large: {facts.st_size} bytes, {room} may be collected")
        return file.read(room + 1)[: facts.st_size]


def _why_not(error: OSError) -> str:
    reasons = {
        errno.ENOENT: "no such file",
        errno.ELOOP: "a symbolic link is not followed",
        errno.EXDEV: "the path leaves the workspace",
        errno.ENXIO: "not a regular file",
        errno.ENOTDIR: "a part of the path is not a directory",
    }
    return reasons.get(error.errno or 0, os.strerror(error.errno or 0))


def parent_of(directory: int, name: bytes, *, make: bool) -> tuple[int, bytes]:
    *parts, leaf = name.split(b"/")
    current = os.dup(directory)
    for part in parts:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=current)
        try:
            following = open_beneath(current, part, DIRECTORY)
        finally:
            os.close(current)
        current = following
    return current, leaf


def largest_file(directory: int) -> int:
    return max((facts.st_size for _, facts, _ in walk(directory) if stat.S_ISREG(facts.st_mode)), default=0)


def walk(top: int) -> Iterator[tuple[bytes, os.stat_result, int]]:
    """Every entry with its path, facts and parent descriptor; a directory comes before what is in it."""
    pending: list[bytes] = [b""]
    while pending:
        path = pending.pop()
        try:
            directory = open_beneath(top, path or b".", DIRECTORY)
        except OSError:
            continue
        try:
            for leaf in os.listdir(directory):  # noqa: PTH208 - a descriptor, not a path
                raw = os.fsencode(leaf)
                try:
                    facts = os.stat(raw, dir_fd=directory, follow_symlinks=False)
                except OSError:
                    continue
                name = path + b"/" + raw if path else raw
                yield name, facts, directory
                if stat.S_ISDIR(facts.st_mode) and name.count(b"/") < MAX_DEPTH and len(name) < 3500:
                    pending.append(name)
        finally:
            os.close(directory)


def copy_data(source: int, target: int, size: int, until: float = math.inf) -> bool:
    """False when time ran out in the middle."""
    os.ftruncate(target, size)
    position = 0
    while position < size:
        try:
            start = os.lseek(source, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return True
            raise
        position = min(os.lseek(source, start, os.SEEK_HOLE), size)
        os.lseek(target, start, os.SEEK_SET)
        while start < position:
            sent = os.sendfile(target, source, start, min(_CHUNK, position - start))
            if not sent:
                return True
            if time.monotonic() > until:
                return False
            start += sent
    return True
