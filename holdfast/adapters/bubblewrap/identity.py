"""Which host uid a call runs as. Never 0: a hole in the namespaces must not open onto root."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

_FIRST_UID = 0x7000_0000  # above every range that distributions, systemd and container engines hand out
_UIDS = 0x0FFF_FFFF
_SMALLEST_SHARE = 1000


class NoSafeUid(Exception):
    """This process is the host's root and cannot become anybody else."""


@dataclass(frozen=True)
class Identity:
    """The uid and gid a call runs as, and whether they are its run's own."""

    uid: int
    gid: int
    own: bool


def identity_for(workspace: str, uid_map: str | None = None) -> Identity:
    """As root a uid of the run's own; otherwise there is only ours."""
    if os.geteuid() != 0:
        return Identity(os.geteuid(), os.getegid(), own=False)
    choice = int(hashlib.sha256(workspace.encode()).hexdigest()[:8], 16)
    ranges = _ranges(uid_map if uid_map is not None else Path("/proc/self/uid_map").read_text())
    start, length = max(((inside, length) for inside, _, length in ranges), key=lambda item: item[1])
    if start <= _FIRST_UID and start + length >= _FIRST_UID + _UIDS:
        uid = _FIRST_UID + choice % _UIDS
    elif length > 2 * _SMALLEST_SHARE:  # root of a container with a range of its own: its upper half
        uid = start + length // 2 + choice % (length // 2)
    elif any(outside == 0 for inside, outside, _ in ranges if inside == 0):
        raise NoSafeUid(
            "running as the host's root without any other uid to change to; run as an ordinary user"
        )
    else:
        return Identity(0, 0, own=False)  # root of a namespace, an ordinary user outside
    return Identity(uid, uid, own=True)


def _ranges(text: str) -> list[tuple[int, int, int]]:
    rows = [[int(number) for number in line.split()] for line in text.splitlines()]
    return [(inside, outside, length) for inside, outside, length in rows]
