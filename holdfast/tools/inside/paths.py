"""Paths of the workspace, inside the sandbox: walked one name at a time, and no link is ever followed.

A link could only lead to the sandbox's own read-only root, but a tool that says `notes.txt` should mean `notes.txt`.
"""

from __future__ import annotations

import contextlib
import os
import stat

WORKSPACE = "/workspace"


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


def odd_part(path: str) -> tuple[str, str] | None:
    """The first part of the way that is no folder, and what it is."""
    names = pieces(path)
    for number in range(1, len(names) + 1):
        part = "/".join(names[:number])
        with contextlib.suppress(OSError):
            kind = kind_of(os.lstat(f"{WORKSPACE}/{part}").st_mode)
            if kind != "folder":
                return part, kind
    return None


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


def printable(name: str) -> str:
    """Bytes that are no UTF-8 are shown as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_escaped(path: str) -> bool:
    """Whether it is how `printable` shows a name that no call can say."""
    folder, shown = f"{WORKSPACE}/", pieces(path)
    while shown:
        try:
            there = os.listdir(folder)  # noqa: PTH208 - names as they are
        except OSError:
            return False
        name = shown.pop(0)
        if name not in there:
            return any(printable(each) == name for each in there)
        folder += f"{name}/"
    return False
