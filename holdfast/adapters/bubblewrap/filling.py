"""Fills a call's empty workspace from the run's store, a directory at a time.

What stands in the store was written by hostile hands, but nobody writes while this reads: the store is locked, and
only keepers reach it. So one name is opened at a time, without following it, and nothing else has to be feared.
"""

import os
import stat
from dataclasses import dataclass, field

from holdfast.adapters.bubblewrap.workspace import MAX_DEPTH, Copied, Stamp, copy_data

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 512


def copy_in(store: int, workspace: int) -> Copied:
    """The stamps are those of the copies: by them is seen afterwards what the call changed."""
    filling = _Filling(workspace)
    filling.directory(b"", os.dup(store), os.dup(workspace), depth=0)
    for name in filling.late:  # what was linked or filled after it was made has changed since
        filling.copied.stamps[name] = _stamp(os.stat(name, dir_fd=workspace, follow_symlinks=False))
    return filling.copied


@dataclass
class _Filling:
    workspace: int
    copied: Copied = field(default_factory=Copied)
    late: list[bytes] = field(default_factory=list)
    links: dict[int, bytes] = field(default_factory=dict)

    def directory(self, path: bytes, source: int, target: int, *, depth: int) -> None:
        """Takes both descriptors over."""
        try:
            for leaf in map(os.fsencode, os.listdir(source)):
                name = path + b"/" + leaf if path else leaf
                facts = os.stat(leaf, dir_fd=source, follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    self._file(name, leaf, facts, source, target)
                elif stat.S_ISDIR(facts.st_mode):
                    self._down(name, leaf, facts, source, target, depth)
                elif stat.S_ISLNK(facts.st_mode):
                    os.symlink(os.readlink(leaf, dir_fd=source), leaf, dir_fd=target)
                    self.late.append(name)
                else:
                    self.copied.left_out += 1
        finally:
            os.close(source)
            os.close(target)

    def _down(
        self, name: bytes, leaf: bytes, facts: os.stat_result, source: int, target: int, depth: int
    ) -> None:
        os.mkdir(leaf, 0o700, dir_fd=target)
        inner = os.open(leaf, _DIRECTORY, dir_fd=target)
        os.fchmod(inner, stat.S_IMODE(facts.st_mode) & 0o777 | 0o700)
        self.late.append(name)
        if depth < MAX_DEPTH:
            self.directory(name, os.open(leaf, _DIRECTORY, dir_fd=source), inner, depth=depth + 1)
        else:
            os.close(inner)

    def _file(self, name: bytes, leaf: bytes, facts: os.stat_result, source: int, target: int) -> None:
        self.copied.largest = max(self.copied.largest, facts.st_size)
        if facts.st_nlink > 1:
            self.late.append(name)
            if first := self.links.get(facts.st_ino):
                os.link(first, leaf, src_dir_fd=self.workspace, dst_dir_fd=target, follow_symlinks=False)
                return
            self.links[facts.st_ino] = name
        self.copied.stamps[name] = _copied_file(leaf, facts, source, target)


def _copied_file(leaf: bytes, facts: os.stat_result, source: int, target: int) -> Stamp:
    reading = os.open(leaf, _READ, dir_fd=source)
    try:
        writing = os.open(leaf, _CREATE, 0o600, dir_fd=target)
        try:
            dense = facts.st_blocks * _BLOCK >= facts.st_size
            if not dense or os.sendfile(writing, reading, 0, facts.st_size) != facts.st_size:
                copy_data(reading, writing, facts.st_size)
            os.fchmod(writing, stat.S_IMODE(facts.st_mode) & 0o777)
            os.utime(writing, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            return _stamp(os.fstat(writing))
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _stamp(facts: os.stat_result) -> Stamp:
    return facts.st_ino, facts.st_ctime_ns
