"""One stack on one data folder. The lock is the kernel's, so it ends with the last process that holds it.

Postgres and Temporal inherit it: while either still writes, nobody else can start on the folder.
"""

import errno
import fcntl
import os
import time
from pathlib import Path

from holdfast.errors import Misconfigured

_PATIENCE_S = 5.0  # what a killed stack's servers need to be gone
_LONGEST_ID = 8  # and its line end; what else stands there is nobody's id


class FolderLock:
    def __init__(self, folder: Path) -> None:
        self._file = folder / "lock"
        self._fd = -1

    @property
    def fd(self) -> int:
        """To be inherited by whatever writes in the folder. It is never closed: the end of the process does it."""
        return self._fd

    def take(self, patience_s: float = _PATIENCE_S) -> None:
        self._fd = self._open(os.O_CREAT)
        deadline = time.monotonic() + patience_s
        while not _locked(self._fd):
            holder = self.holder()
            if _lives(holder) or time.monotonic() > deadline:
                os.close(self._fd)
                raise Misconfigured(
                    f"A stack is running on {self._file.parent} already (process {holder}).",
                    remedy="Stop it with `holdfast down`, or set HOLDFAST_DATA_DIR to another folder.",
                )
            time.sleep(0.05)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def _open(self, flags: int = 0) -> int:
        try:
            if flags & os.O_CREAT:
                self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(self._file, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        except OSError as error:
            raise unusable(self._file.parent, error) from error

    def holder(self) -> int | None:
        """The supervisor that wrote its id last; it runs only if the lock is held."""
        if not self._file.is_file():
            return None
        text = self._file.read_bytes()[:_LONGEST_ID].strip()
        return int(text) if text.isdigit() else None

    def is_held(self) -> bool:
        if not self._file.exists():
            return False
        fd = self._open()
        try:
            return not _locked(fd)
        finally:
            os.close(fd)


def unusable(folder: Path, error: OSError) -> Misconfigured:
    """What the file system refused, with what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "Free some space, or set HOLDFAST_DATA_DIR to a folder on another disk."
    else:
        remedy = "Move what is there away, or set HOLDFAST_DATA_DIR to a folder of yours."
    where = f" ({error.filename})" if error.filename else ""
    return Misconfigured(f"{folder} cannot be a data folder: {error.strerror}{where}.", remedy=remedy)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
