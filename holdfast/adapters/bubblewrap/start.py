"""Start bubblewrap for one call, with nothing inherited but what is named here.

The tool is started through a tiny shell stage that waits for a word: so its process exists, and is held by a
descriptor, before the first instruction of foreign code.
"""

import contextlib
import fcntl
import itertools
import os
import resource
import signal
from dataclasses import dataclass
from typing import Any, NoReturn

from holdfast.adapters.bubblewrap import kernel
from holdfast.adapters.bubblewrap.command import (
    STAGE_GO,
    STAGE_READY,
    Descriptors,
    bubblewrap_arguments,
    stage_command,
)
from holdfast.adapters.bubblewrap.meter import OWN_PROCESSES
from holdfast.adapters.bubblewrap.spec import CallSpec, LauncherSpec
from holdfast.sandbox.profile import PROGRAM, command_for, environment, etc_files
from holdfast.sandbox.seccomp import seccomp_filter

_MIB = 1024 * 1024
_ABOVE_STAGE = 20
_NOT_STARTED = 126
_HIGHEST = 65536


@dataclass(frozen=True)
class Started:
    """A bubblewrap process and our ends of its pipes."""

    pid: int
    out: int
    err: int
    status: int
    ready: int
    go: int


@dataclass(frozen=True)
class _Inside:
    """The other ends, and the files bubblewrap reads."""

    stdin: int
    out: int
    err: int
    status: int
    ready: int
    go: int
    seccomp: int
    files: dict[str, int]


def start_tool(launcher: LauncherSpec, call: CallSpec, *, grouped: bool) -> Started:
    out, err, status, ready, go = (os.pipe2(os.O_CLOEXEC) for _ in range(5))
    inside = _Inside(
        stdin=_standard_input(call.stdin),
        out=out[1],
        err=err[1],
        status=status[1],
        ready=ready[1],
        go=go[0],
        seccomp=kernel.sealed_memory("seccomp", seccomp_filter(count_all_memory=not grouped)),
        files=_memory_files(call),
    )
    pid = os.fork()
    if pid == 0:
        _become_bubblewrap(launcher, call, inside, grouped=grouped)
    for end in (
        inside.stdin,
        out[1],
        err[1],
        status[1],
        ready[1],
        go[0],
        inside.seccomp,
        *inside.files.values(),
    ):
        os.close(end)
    return Started(pid=pid, out=out[0], err=err[0], status=status[0], ready=ready[0], go=go[1])


def _standard_input(text: str) -> int:
    if not text:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    return kernel.sealed_memory("stdin", text.encode())


def _memory_files(call: CallSpec) -> dict[str, int]:
    texts = etc_files(call.aliases) | {PROGRAM: call.program}
    return {path: kernel.sealed_memory("file", text.encode()) for path, text in texts.items()}


def _become_bubblewrap(launcher: LauncherSpec, call: CallSpec, inside: _Inside, *, grouped: bool) -> NoReturn:
    try:
        kernel.die_with_parent(signal.SIGKILL)
        _default_signals()
        _limit(call.limits, grouped=grouped)
        kernel.refuse_new_privileges()
        kernel.scope_with_landlock()
        descriptors = _arrange(inside)
        arguments = bubblewrap_arguments(
            environment=environment(proxied=call.proxied),
            descriptors=descriptors,
            readable=launcher.readable,
        )
        stage = stage_command(command_for(call.language, call.argv), open_files=call.limits["open_files"])
        # By descriptor: the namespace's first process is visible inside, and its command line with it.
        listed = kernel.sealed_memory("arguments", b"\0".join(map(os.fsencode, arguments)) + b"\0")
        os.set_inheritable(listed, True)
        os.execve(  # noqa: S606 - no shell is the point
            launcher.bwrap, ["bwrap", "--args", str(listed), "--", *stage], {}
        )
    except BaseException as error:  # noqa: BLE001 - a forked child must never run on in its parent's code
        os.write(2, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(_NOT_STARTED)


def _default_signals() -> None:
    """Ignored signals are inherited: Python ignores PIPE and XFSZ, the launcher TERM, and no tool expects that."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _arrange(inside: _Inside) -> Descriptors:
    """Everything is close-on-exec but the five numbers of the stage and what bubblewrap itself reads and closes."""
    ends = [_moved_up(end) for end in (inside.stdin, inside.out, inside.err, inside.ready, inside.go)]
    status, seccomp = _moved_up(inside.status), _moved_up(inside.seccomp)
    files = {path: _moved_up(descriptor) for path, descriptor in inside.files.items()}
    for end, place in zip(ends, (0, 1, 2, STAGE_READY, STAGE_GO), strict=True):
        os.dup2(end, place, inheritable=True)
    kept = sorted((0, 1, 2, STAGE_READY, STAGE_GO, status, seccomp, *files.values()))
    for descriptor in kept:
        os.set_inheritable(descriptor, True)
    for lower, upper in itertools.pairwise((*kept, _HIGHEST)):  # a second bolt: whatever else is open, is not
        os.closerange(lower + 1, upper)
    return Descriptors(status=status, seccomp=seccomp, files=files)


def _moved_up(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _ABOVE_STAGE)


def _limit(limits: dict[str, Any], *, grouped: bool) -> None:
    """Limits per process stand behind those for the tree; where no group counts memory, they stand in front."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")
    values = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: limits["file_mb"] * _MIB,
        resource.RLIMIT_NPROC: limits["pids"] + OWN_PROCESSES,  # all of one uid
        resource.RLIMIT_CPU: int(limits["cpu_s"]) + 2,
        resource.RLIMIT_MEMLOCK: 64 * 1024,
        resource.RLIMIT_MSGQUEUE: 64 * 1024,
        resource.RLIMIT_SIGPENDING: 1024,
    }
    if not grouped:
        os.nice(10)  # the watchdog must come first where it alone holds the memory
        # A little above the limit, so that the watchdog, which can tell why, is the first to bite.
        values[resource.RLIMIT_DATA] = limits["memory_mb"] * _MIB * 5 // 4
    for kind, value in values.items():
        ceiling = resource.getrlimit(kind)[1]
        held = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        resource.setrlimit(kind, (held, held))
