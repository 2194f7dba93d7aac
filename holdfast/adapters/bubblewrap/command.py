"""The bubblewrap command line: a root built up from nothing, never the host's with exceptions."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.sandbox.profile import USER_ID, WORKSPACE

STAGE_READY, STAGE_GO = 8, 9
HOLD = "/sys"
"""Covered in the keeper's own mount namespace: every machine has it, and bubblewrap needs nothing of it."""

_SYSTEM_DIRECTORIES = ("/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32")
_SHARED_ETC = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/certs", "/etc/ca-certificates", "/etc/pki")
_HIDDEN_PROC = ("/proc/kcore", "/proc/keys", "/proc/cmdline", "/proc/interrupts")

_STAGE = (
    f"ulimit -n %d && echo >&{STAGE_READY} && exec {STAGE_READY}>&- && read -r _ <&{STAGE_GO}"
    f' && exec {STAGE_GO}<&- && exec "$@"'
)


@dataclass(frozen=True)
class Descriptors:
    """What bubblewrap reads from and writes to, by number."""

    status: int
    seccomp: int
    files: Mapping[str, int]


def bubblewrap_arguments(
    *, environment: Mapping[str, str], descriptors: Descriptors, readable: Sequence[str] = ()
) -> list[str]:
    """Network, workspace and private directories are the keeper's; everything else is made here."""
    return [
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--disable-userns", "--cap-drop", "ALL", "--uid", str(USER_ID), "--gid", str(USER_ID)),
        *("--hostname", "sandbox", "--die-with-parent", "--new-session"),
        *_environment(environment),
        *_root(),
        *_private_directories(),
        *_granted(tuple(readable)),
        *_files(descriptors.files),
        *("--chdir", WORKSPACE, "--remount-ro", "/dev", "--remount-ro", "/proc", "--remount-ro", "/"),
        *("--seccomp", str(descriptors.seccomp), "--json-status-fd", str(descriptors.status)),
    ]


def stage_command(command: Sequence[str], *, open_files: int) -> list[str]:
    """The shell that waits for a word and then becomes the tool."""
    return ["/bin/sh", "-c", _STAGE % open_files, "stage", *command]


def _environment(variables: Mapping[str, str]) -> list[str]:
    arguments = ["--clearenv"]
    for name, value in variables.items():
        arguments += ["--setenv", name, value]
    return arguments


@functools.cache
def _root() -> list[str]:
    """The host's directories are looked at once: they do not change under a running worker."""
    arguments = ["--ro-bind", "/usr", "/usr"]
    for path in _SYSTEM_DIRECTORIES:
        directory = Path(path)
        if directory.is_symlink():
            arguments += ["--symlink", str(directory.readlink()), path]
        elif directory.is_dir():
            arguments += ["--ro-bind", path, path]
    return [*arguments, *_granted(_SHARED_ETC)]


@functools.cache
def _granted(paths: tuple[str, ...]) -> list[str]:
    """Read-only, where they are; after the private /tmp, so that what stands below the host's /tmp can be granted."""
    return [word for path in paths if Path(path).exists() for word in ("--ro-bind", path, path)]


@functools.cache
def _private_directories() -> list[str]:
    arguments = ["--proc", "/proc", "--dev", "/dev"]
    for path in _HIDDEN_PROC:
        if Path(path).exists():
            arguments += ["--ro-bind", "/dev/null", path]
    # The namespace's first process is ours, with the tool's uid: its memory and its descriptors are nobody's business.
    arguments += ["--tmpfs", "/proc/1", "--remount-ro", "/proc/1"]
    for source, place in (("shm", "/dev/shm"), ("tmp", "/tmp"), ("workspace", WORKSPACE)):  # noqa: S108
        arguments += ["--bind", f"{HOLD}/{source}", place]
    return [*arguments, "--dev-bind", f"{HOLD}/terminals", "/dev/pts"]


def _files(files: Mapping[str, int]) -> list[str]:
    arguments = []
    for path, descriptor in files.items():
        arguments += ["--perms", "0444", "--file", str(descriptor), path]
    return arguments
