"""`sys.disk`: how full the file systems are."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

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
        "tmpfs",
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
        "squashfs",
    ]
)


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

    def told(self) -> str:
        return ", ".join(
            f"{each.mount} {each.used_percent:g} % of {size_text(each.size_bytes)}"
            for each in self.filesystems[:5]
        )


@declared(
    "sys.disk",
    version="1.0.1",
    effect=EffectClass.READ_ONLY,
    timeout_s=20,
    examples=(ToolExample(title="How full the disks are"),),
)
async def disk(arguments: Nothing, context: ToolContext) -> Disks:  # noqa: ARG001 - the shape of a tool
    """Lists the mounted file systems with their size, use and inode use, and names the fullest."""
    found = await asyncio.to_thread(lambda: tuple(_filesystems()))
    return Disks(filesystems=found, fullest=max(found, key=lambda f: f.used_percent, default=None))


def _filesystems() -> Iterator[Filesystem]:
    seen: set[int] = set()
    for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
        device, mount, kind, *_ = line.split(" ")
        mount = mount.encode().decode("unicode_escape")
        if kind in _PSEUDO:
            continue
        try:
            figures, number = os.statvfs(mount), Path(mount).stat().st_dev
        except OSError:
            continue
        if number in seen or figures.f_blocks == 0:
            continue
        seen.add(number)
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
