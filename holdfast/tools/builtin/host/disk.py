"""`sys.disk`: how full the file systems are."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field

from holdfast.tools.builtin.host.words import Nothing, size_text
from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload
from schemas.tools import EffectClass, ToolExample

_PSEUDO = frozenset(
    [
        "proc",
        "sysfs",
        "devtmpfs",
        "devpts",
        "cgroup",
        "cgroup2",
        "securityfs",
        "debugfs",
        "tracefs",
        "pstore",
        "bpf",
        "mqueue",
        "hugetlbfs",
        "configfs",
        "fusectl",
        "binfmt_misc",
        "autofs",
        "rpc_pipefs",
        "nsfs",
        "ramfs",
        "efivarfs",
    ]
)
_LEFT_OUT = frozenset(["overlay", "aufs", "fuse.fuse-overlayfs", "tmpfs", "squashfs"])
"""Layers of containers, memory, packages: their space is another file system's, or none that a disk could lack."""


class Filesystem(Payload):
    mount: str
    device: str
    type: str
    size_bytes: int
    used_bytes: int
    free_bytes: int
    used_percent: float
    inodes_used_percent: float


class Disks(Payload):
    filesystems: tuple[Filesystem, ...]
    fullest: Filesystem | None
    left_out: dict[str, int] = Field(description="Mounts that are no disk of their own, by their type.")

    def told(self) -> str:
        shown = ", ".join(
            f"{each.mount} {each.used_percent:g} % of {size_text(each.size_bytes)}"
            for each in self.filesystems[:5]
        )
        others = ", ".join(f"{number} {kind}" for kind, number in self.left_out.items())
        return f"{shown}; left out: {others}" if others else shown


@declared(
    "sys.disk",
    version="1.1.0",
    effect=EffectClass.READ_ONLY,
    timeout_s=20,
    examples=(ToolExample(title="How full the disks are"),),
)
async def disk(arguments: Nothing, context: ToolContext) -> Disks:  # noqa: ARG001 - the shape of a tool
    """Lists the mounted file systems with their size, use and inode use, each device once, and names the fullest. Layers of
    containers, tmpfs and squashfs are counted and left out."""
    mounts = await asyncio.to_thread(Path("/proc/self/mounts").read_text, errors="replace")
    return await asyncio.to_thread(disks_of, mounts)


def disks_of(mounts: str) -> Disks:
    """Of a table of mounts as the kernel writes it. Inside a container its own root is a layer, and is shown."""
    entries = [line.split(" ")[:3] for line in mounts.splitlines()]
    left_out = Counter(kind for _, mount, kind in entries if _is_left_out(mount, kind))
    found = tuple(_filesystems(each for each in entries if not _is_left_out(each[1], each[2])))
    return Disks(
        filesystems=found,
        fullest=max(found, key=lambda f: f.used_percent, default=None),
        left_out=dict(sorted(left_out.items())),
    )


def _is_left_out(mount: str, kind: str) -> bool:
    return kind in _LEFT_OUT and mount != "/"


def _filesystems(entries: Iterable[list[str]]) -> Iterator[Filesystem]:
    """A device may be mounted in several places, and subvolumes of one have numbers of their own."""
    seen: set[str | int] = set()
    for device, place, kind in entries:
        mount = place.encode().decode("unicode_escape")
        if kind in _PSEUDO:
            continue
        try:
            figures, number = os.statvfs(mount), Path(mount).stat().st_dev
        except OSError:
            continue
        same = {number, device if "/" in device else number}
        if seen & same or figures.f_blocks == 0:
            continue
        seen |= same
        yield _filesystem(device, mount, kind, figures)


def _filesystem(device: str, mount: str, kind: str, figures: os.statvfs_result) -> Filesystem:
    size, free = figures.f_blocks * figures.f_frsize, figures.f_bavail * figures.f_frsize
    used = (figures.f_blocks - figures.f_bfree) * figures.f_frsize
    inodes = 100 * (1 - figures.f_ffree / figures.f_files) if figures.f_files else 0.0
    return Filesystem(
        mount=mount,
        device=device,
        type=kind,
        size_bytes=size,
        used_bytes=used,
        free_bytes=free,
        used_percent=round(100 * used / (used + free), 1) if used + free else 0.0,
        inodes_used_percent=round(inodes, 1),
    )
