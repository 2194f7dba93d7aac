"""What a call changed in its workspace, on its way back into the run's store. Everything that is read was written by hostile
hands: every open goes through `open_beneath`, and nothing is followed."""

import contextlib
import math
import os
import stat
import time

from holdfast.adapters.bubblewrap.kernel import open_beneath
from holdfast.adapters.bubblewrap.workspace import (
    CREATE,
    DIRECTORY,
    READ,
    Copied,
    Stamp,
    copy_data,
    parent_of,
    walk,
)

_TEMPORARY_BYTES = 8


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


def _copy_tree(source: int, target: int, known: dict[bytes, Stamp], until: float = math.inf) -> Copied:
    copied = Copied()
    links: dict[int, bytes] = {}
    for name, facts, directory in walk(source):
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
        parent, _ = parent_of(target, name, make=False)
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
    origin, name = parent_of(top, first, make=False)
    try:
        _clear(parent, leaf)
        os.link(name, leaf, src_dir_fd=origin, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(origin)
    return True


def _copy_file(directory: int, leaf: bytes, parent: int, facts: os.stat_result, until: float) -> bool:
    """Holes stay holes: twenty thousand sparse files must not become a full disk. Appears whole or not at all."""
    source = open_beneath(directory, leaf, READ)
    temporary = (
        b".holdfast-" + os.urandom(_TEMPORARY_BYTES).hex().encode()
    )  # no tool can have a file of that name
    try:
        target = open_beneath(parent, temporary, CREATE, 0o600)
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
        directory = open_beneath(parent, leaf, DIRECTORY)
    except OSError:
        return
    try:
        for name, facts, _ in sorted(walk(directory), key=lambda entry: entry[0], reverse=True):
            _remove_entry(directory, name, is_directory=stat.S_ISDIR(facts.st_mode))
    finally:
        os.close(directory)
    os.rmdir(leaf, dir_fd=parent)


def _remove_entry(top: int, name: bytes, *, is_directory: bool | None = None) -> None:
    try:
        parent, leaf = parent_of(top, name, make=False)
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
