"""Where the control groups of calls are made: below our own group, or below whatever else was handed to us."""

import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "holdfast"
_V1_NEEDED = ("memory", "pids")
V1_CPU = "cpuacct"
_UNITS = (".service", ".scope", ".slice")
"""What is around a unit's group belongs to its manager. A group inside a unit was made by whoever the unit was handed to."""


class NoControlGroups(Exception):
    """Control groups cannot be written here; the message says why."""


@dataclass(frozen=True)
class GroupParents:
    """Where groups are made: one directory per controller in version 1, a single one in version 2."""

    version: int
    directories: dict[str, Path]

    def paths(self, name: str) -> list[Path]:
        return [directory / name for directory in dict.fromkeys(self.directories.values())]

    def remove(self, name: str) -> bool:
        """Kill what is left and remove the group. False while the kernel still holds it."""
        removed = [_remove(path) for path in self.paths(name)]  # each of them, even after a failure
        return all(removed)

    def sweep(self) -> int:
        """Remove the groups of launchers that died without doing it."""
        swept = 0
        for directory in dict.fromkeys(self.directories.values()):
            for path in directory.glob("call-*"):
                owner, _, started = path.name.removeprefix("call-").partition("-")
                if started_at(owner) != started.split("-")[0]:
                    swept += _remove(path)
        return swept


def group_name(counter: int) -> str:
    """Names its launcher by process id and start time, so that a later one can tell whether it still lives."""
    return f"call-{os.getpid()}-{started_at(str(os.getpid()))}-{counter}"


def find_parents() -> GroupParents:
    """The parents for this process's groups, made if need be. Raises NoControlGroups."""
    own = _own_groups()
    mounts = _group_mounts()
    try:
        if all(name in mounts for name in _V1_NEEDED):
            return _version_1(own, mounts)
        if "" in mounts:
            return _version_2(mounts[""], mounts[""] / own.get("", "/").lstrip("/"))
    except OSError as error:
        raise NoControlGroups(f"control groups are not writable: {error}") from error
    raise NoControlGroups("no control group file system is mounted")


def _version_1(own: dict[str, str], mounts: dict[str, Path]) -> GroupParents:
    directories = {}
    for name in (*_V1_NEEDED, V1_CPU):
        if name not in mounts:
            continue
        directory = mounts[name] / own.get(name, "/").lstrip("/") / _PREFIX
        directory.mkdir(exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise NoControlGroups(f"{directory} is not writable")
        directories[name] = directory
    return GroupParents(version=1, directories=directories)


def _version_2(mount: Path, own: Path) -> GroupParents:
    """Below our own group where that is delegated, else below the root of what we see, or beside our own group."""
    reasons = []
    around = () if own == mount or own.suffix in _UNITS else ((own.parent, None),)
    for place, prepare in ((own, None), (mount, None), *around, (own, _make_room)):
        try:
            if prepare:
                prepare(place)
            return _delegated(place)
        except OSError as error:
            reasons.append(f"{place}: {error.strerror or error}")
    raise NoControlGroups(f"memory and pids are not delegated to us ({'; '.join(reasons)})")


def _delegated(place: Path) -> GroupParents:
    _enable(place)
    parent = place / _PREFIX
    parent.mkdir(exist_ok=True)
    if not os.access(parent, os.W_OK):  # made by another user, such as root
        raise PermissionError(errno.EACCES, "it belongs to somebody else")
    _enable(parent)
    return GroupParents(version=2, directories={"memory": parent, "pids": parent, V1_CPU: parent})


def _enable(directory: Path) -> None:
    control = directory / "cgroup.subtree_control"
    if not {"memory", "pids"} <= set(control.read_text().split()):
        control.write_text("+memory +pids")  # refused while processes live here, unless this is the real root
    with contextlib.suppress(OSError):  # cpu.stat exists without the controller too
        control.write_text("+cpu")


def _make_room(own: Path) -> None:
    """Version 2 wants processes in leaves only. Move the worker and its launcher, never anybody else."""
    ours = {str(os.getpid()), str(os.getppid())}
    members = set((own / "cgroup.procs").read_text().split())
    if not members <= ours:
        raise OSError(errno.EBUSY, "other processes live in this group")
    leaf = own / f"{_PREFIX}-worker"
    leaf.mkdir(exist_ok=True)
    for pid in members:
        (leaf / "cgroup.procs").write_text(pid)


def _own_groups() -> dict[str, str]:
    groups = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _group_mounts() -> dict[str, Path]:
    mounts: dict[str, Path] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup":
            mounts.update(dict.fromkeys(options.split(","), Path(place)))
        elif kind == "cgroup2":
            mounts[""] = Path(place)
    return mounts


def started_at(pid: str) -> str:
    """When this process began, so that a number used again is told apart; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _remove(path: Path) -> bool:
    for _ in range(50):
        try:
            path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            _kill_members(path)
            time.sleep(0.002)
        else:
            return True
    return False


def _kill_members(path: Path) -> None:
    with contextlib.suppress(OSError):
        for pid in (path / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
