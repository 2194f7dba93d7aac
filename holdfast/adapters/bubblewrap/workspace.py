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
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_TEMPORARY_BYTES = 8

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
    parent, leaf = _parent(directory, name, make=True)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(leaf, dir_fd=parent)
        descriptor = open_beneath(parent, leaf, _CREATE, 0o644)
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
    parent, leaf = _parent(directory, name, make=False)
    try:
        descriptor = open_beneath(parent, leaf, _READ)
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


def _parent(directory: int, name: bytes, *, make: bool) -> tuple[int, bytes]:
    *parts, leaf = name.split(b"/")
    current = os.dup(directory)
    for part in parts:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=current)
        try:
            following = open_beneath(current, part, _DIRECTORY)
        finally:
            os.close(current)
        current = following
    return current, leaf


def copy_out(workspace: int, store: int, before: Copied, *, seconds: float = math.inf) -> Copied:
    """Write back what changed since `before`, and remove what the call removed.

    With a time limit, as for a call that was stopped, what does not fit into it is not kept: a tool cannot delay
    its own end by leaving twenty thousand files.
    """
    after = _copy_tree(workspace, store, known=before.stamps, until=time.monotonic() + seconds)
    if after.cut_short:
        return after
    gone = [name for name in before.stamps if name not in after.stamps]
    for name in sorted(gone, reverse=True):  # children before their directory
        _remove_entry(store, name)
    return after


def largest_file(directory: int) -> int:
    return max((facts.st_size for _, facts, _ in _walk(directory) if stat.S_ISREG(facts.st_mode)), default=0)


def _walk(top: int) -> Iterator[tuple[bytes, os.stat_result, int]]:
    """Every entry with its path, facts and parent descriptor; a directory comes before what is in it."""
    pending: list[bytes] = [b""]
    while pending:
        path = pending.pop()
        try:
            directory = open_beneath(top, path or b".", _DIRECTORY)
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


def _copy_tree(source: int, target: int, known: dict[bytes, Stamp], until: float = math.inf) -> Copied:
    copied = Copied()
    links: dict[int, bytes] = {}
    for name, facts, directory in _walk(source):
        if time.monotonic() > until:
            copied.cut_short = True
            copied.left_out += 1
            break
        stamp = (facts.st_ino, facts.st_ctime_ns)
        if stat.S_ISREG(facts.st_mode):
            copied.largest = max(copied.largest, facts.st_size)
        if known.get(name) != stamp and not _copy_entry(name, facts, directory, target, links, until):
            copied.left_out += 1
            copied.cut_short = time.monotonic() > until  # else what is in the store would seem to be removed
            continue
        if facts.st_nlink > 1 and stat.S_ISREG(facts.st_mode):
            links.setdefault(facts.st_ino, name)
        copied.stamps[name] = stamp
    return copied


def _copy_entry(
    name: bytes, facts: os.stat_result, directory: int, target: int, links: dict[int, bytes], until: float
) -> bool:
    """False for what is not kept: pipes, sockets, devices, names nested too deep, and what there is no time for."""
    leaf = name.rsplit(b"/", 1)[-1]
    try:
        parent, _ = _parent(target, name, make=False)
    except OSError:
        return False
    try:
        if stat.S_ISDIR(facts.st_mode):
            _copy_directory(parent, leaf, facts)
        elif stat.S_ISLNK(facts.st_mode):
            _clear(parent, leaf)
            os.symlink(os.readlink(leaf, dir_fd=directory), leaf, dir_fd=parent)
        elif stat.S_ISREG(facts.st_mode):
            if facts.st_ino in links:
                return _link(target, links[facts.st_ino], parent, leaf)
            return _copy_file(directory, leaf, parent, facts, until)
        else:
            return False
    finally:
        os.close(parent)
    return True


def _copy_directory(parent: int, leaf: bytes, facts: os.stat_result) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.stat(leaf, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(leaf, dir_fd=parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(leaf, 0o700, dir_fd=parent)
    os.chmod(leaf, stat.S_IMODE(facts.st_mode) & 0o777 | 0o700, dir_fd=parent)


def _link(top: int, first: bytes, parent: int, leaf: bytes) -> bool:
    origin, name = _parent(top, first, make=False)
    try:
        _clear(parent, leaf)
        os.link(name, leaf, src_dir_fd=origin, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(origin)
    return True


def _copy_file(directory: int, leaf: bytes, parent: int, facts: os.stat_result, until: float) -> bool:
    """Holes stay holes: twenty thousand sparse files must not become a full disk. Appears whole or not at all."""
    source = open_beneath(directory, leaf, _READ)
    temporary = (
        b".holdfast-" + os.urandom(_TEMPORARY_BYTES).hex().encode()
    )  # no tool can have a file of that name
    try:
        target = open_beneath(parent, temporary, _CREATE, 0o600)
        try:
            if not copy_data(source, target, facts.st_size, until):
                os.unlink(temporary, dir_fd=parent)
                return False
            os.fchmod(target, stat.S_IMODE(facts.st_mode) & 0o777)
            os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        finally:
            os.close(target)
        _clear_directory(parent, leaf)
        os.rename(temporary, leaf, src_dir_fd=parent, dst_dir_fd=parent)
    finally:
        os.close(source)
    return True


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


def _clear(parent: int, leaf: bytes) -> None:
    try:
        os.unlink(leaf, dir_fd=parent)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        _clear_directory(parent, leaf)


def _clear_directory(parent: int, leaf: bytes) -> None:
    """A directory that became a file: its old contents go first."""
    try:
        directory = open_beneath(parent, leaf, _DIRECTORY)
    except OSError:
        return
    try:
        for name, facts, _ in sorted(_walk(directory), key=lambda entry: entry[0], reverse=True):
            _remove_entry(directory, name, is_directory=stat.S_ISDIR(facts.st_mode))
    finally:
        os.close(directory)
    os.rmdir(leaf, dir_fd=parent)


def _remove_entry(top: int, name: bytes, *, is_directory: bool | None = None) -> None:
    try:
        parent, leaf = _parent(top, name, make=False)
    except OSError:
        return
    try:
        if is_directory is None:
            is_directory = stat.S_ISDIR(os.stat(leaf, dir_fd=parent, follow_symlinks=False).st_mode)
        if is_directory:
            os.rmdir(leaf, dir_fd=parent)
        else:
            os.unlink(leaf, dir_fd=parent)
    except OSError:
        return  # already gone with its directory, or a directory that another call of the run filled meanwhile
    finally:
        os.close(parent)
