"""Where the workspaces of runs rest between calls: one directory per run, owned by the run's own uid."""

import hashlib
import os
import shutil
import stat
import uuid
from pathlib import Path

from holdfast.adapters.bubblewrap.group_parents import started_at
from holdfast.adapters.bubblewrap.identity import Identity

_PASSING = "passing-"


class UnsafeStore(OSError):
    """The store belongs to somebody else, or others can write to it."""


def workspace_name(tenant_run: str) -> str:
    """A directory name that no choice of run name can steer."""
    return hashlib.sha256(tenant_run.encode()).hexdigest()[:32]


def passing_name() -> str:
    """For a call without a run. Names its worker, so that a later one can tell whether it still lives."""
    return f"{_PASSING}{os.getpid()}-{started_at(str(os.getpid()))}-{uuid.uuid4().hex}"


def sweep(root: Path) -> None:
    """Remove what calls without a run left whose worker was killed over them."""
    for path in root.glob(f"{_PASSING}*"):
        pid, started, _ = path.name.removeprefix(_PASSING).split("-")
        if started_at(pid) != started:
            shutil.rmtree(path, ignore_errors=True)


def make_store(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True, mode=0o711)
    facts = root.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise UnsafeStore(f"{root} must be a directory of uid {os.geteuid()} that nobody else can write to")


def open_store(root: Path, workspace: str, identity: Identity) -> int:
    """A descriptor of the run's directory; it stays good after rights are dropped."""
    path = root / workspace
    path.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if identity.own:
        os.fchown(descriptor, identity.uid, identity.gid)
    return descriptor


def forget(root: Path, workspace: str) -> None:
    """The run is over: its files go. Symbolic links in it are removed, never followed."""
    shutil.rmtree(root / workspace, ignore_errors=True)
