"""A container's workspace between two calls of a run: an archive that was packed among hostile files, and is read here
but never unpacked."""

import base64
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from holdfast.adapters.bubblewrap import workspace as guarded
from holdfast.sandbox.profile import WORKSPACE
from schemas.sandbox import CollectedFile, SandboxRequest

MEGABYTE = 1024 * 1024
_COLLECT_BYTES = 16 * MEGABYTE
_END_OF_MODES = b"\0//\0"  # no path that `find .` prints has two slashes together

_OPEN_AND_PACK = (
    rf"cd {WORKSPACE}; find . \( -type d ! -perm -u=rx -o -type f ! -perm -u=r \) "
    r"-printf '%m %p\0' -exec chmod u+rwX {} \; ; printf '\0//\0'; "
    r"find . \( -type f -o -type d -o -type l \) -print0 | "
    r"/bin/tar -c --sparse --null --no-recursion --files-from=-"
)
PACK = ("/bin/sh", "-c", _OPEN_AND_PACK)
"""What prints a `Packed`."""

RESTORE_MODES = (
    "/bin/bash",
    "-c",
    'mapfile -d "" -t seen; for ((i = ${#seen[@]} - 1; i >= 0; i--)); do chmod "${seen[i]%% *}" "${seen[i]#* }"; done',
)
"""From the last seen to the first: a folder is shut after what is in it."""


@dataclass(frozen=True)
class Packed:
    """A workspace at rest: a tar, and the modes that had to be opened before a tar without rights could read it."""

    modes: bytes = b""
    tar: bytes = b""

    @classmethod
    def of(cls, file: Path | None) -> Self:
        """What an earlier call left; nothing at the first."""
        return cls.read(file.read_bytes()) if file and file.exists() else cls()

    @classmethod
    def read(cls, packed: bytes) -> Self:
        modes, _, tar = packed.partition(_END_OF_MODES)
        return cls(modes, tar)

    def write(self, file: Path) -> None:
        """Whole or not at all."""
        fresh = file.with_suffix(".new")
        fresh.write_bytes(self.modes + _END_OF_MODES + self.tar)
        fresh.replace(file)

    def members(self) -> Iterator[tarfile.TarInfo]:
        if self.tar:
            with tarfile.open(fileobj=io.BytesIO(self.tar)) as opened:
                yield from opened


def given_files(request: SandboxRequest, before: Packed) -> bytes:
    """The files of the request as an archive, once it is sure that the run's workspace has room and a place for them."""
    most = request.limits.disk_mb
    if len(before.tar) > most * MEGABYTE:
        raise guarded.BadName(f"the run's workspace is larger than this call's limits.disk_mb of {most}")
    placed = {guarded.checked_name(name).decode(): text.encode() for name, text in request.files.items()}
    folders = {str(parent) for name in placed for parent in PurePosixPath(name).parents}
    for member in before.members() if folders else ():
        if member.name.removeprefix("./") in folders and not member.isdir():
            raise guarded.BadName(f"{member.name}: not a folder")
    return archive_of(placed)


def archive_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def collected(archive: bytes, name: str) -> CollectedFile:
    """One regular file out of the archive, by its exact name; nothing is unpacked, so no link can be followed."""
    try:
        wanted = guarded.checked_name(name).decode(errors="surrogateescape")
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            member = next((m for m in opened if m.name.removeprefix("./") == wanted), None)
            if member is None:
                return CollectedFile(error="no such file")
            if not member.isreg():
                return CollectedFile(error="not a regular file with a single link")
            if member.size > _COLLECT_BYTES:
                return CollectedFile(error=f"too large: {member.size} bytes")
            content = opened.extractfile(member)
            return CollectedFile(ok=True, b64=base64.b64encode(content.read() if content else b"").decode())
    except (guarded.BadName, tarfile.TarError) as error:
        return CollectedFile(error=str(error))
