"""Start bubblewrap for one call, with nothing inherited but what is named here.

The tool is started through a tiny shell stage that waits for a word: so its process exists, and is held by a
descriptor, before the first instruction of foreign code.
"""

import contextlib
import fcntl
import functools
import os
import random
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from holdfast.adapters.bubblewrap import kernel
from holdfast.adapters.bubblewrap.command import (
    STAGE_GO,
    STAGE_READY,
    Descriptors,
    bubblewrap_arguments,
    stage_command,
)
from holdfast.adapters.bubblewrap.meter import WATCH_PRIORITY, processors_for
from holdfast.adapters.bubblewrap.spec import CallSpec, LauncherSpec
from holdfast.sandbox.profile import PROGRAM, command_for, environment, etc_files
from holdfast.sandbox.seccomp import seccomp_filter

_MIB = 1024 * 1024
_MOST_RESERVED = 4 * 1024 * _MIB
_NICE = 10
_NICE_SESSION = 5
_ABOVE_STAGE = 20
_PLACES = (0, 1, 2, STAGE_READY, STAGE_GO)


@dataclass(frozen=True)
class Started:
    """A bubblewrap process and our ends of its pipes."""

    pid: int
    out: int
    err: int
    status: int
    ready: int
    go: int


def start_tool(launcher: LauncherSpec, call: CallSpec, *, grouped: bool, talk: int | None = None) -> Started:
    """With `talk` as its input and output where it is to converse. By `posix_spawn`: a second fork of an interpreter would copy a thousand pages for nothing."""
    kernel.refuse_new_privileges()
    kernel.scope_with_landlock()
    if not grouped:
        kernel.take_memory_in_small_pages()
    out, err, status, ready, go = (os.pipe2(os.O_CLOEXEC) for _ in range(5))
    files = {path: _moved_up(kernel.sealed_memory("file", text)) for path, text in _texts(call).items()}
    seccomp = _moved_up(kernel.sealed_memory("seccomp", seccomp_filter(count_all_memory=not grouped)))
    inner = _moved_up(status[1])
    options = bubblewrap_arguments(
        environment=environment(proxied=call.proxied),
        descriptors=Descriptors(status=inner, seccomp=seccomp, files=files),
        readable=launcher.readable,
    )
    # By descriptor: the namespace's first process is visible inside, and its command line with it.
    listed = _moved_up(kernel.sealed_memory("arguments", os.fsencode("\0".join(options)) + b"\0"))
    open_files = min(call.limits["open_files"], resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    stage = stage_command(command_for(call.language, call.argv), open_files=open_files)
    given, printed = _standard_input(call.stdin), out[1]
    if talk is not None:
        os.dup2(talk, given, inheritable=False)
        os.dup2(talk, printed, inheritable=False)
        os.close(talk)
    ends = [_moved_up(end) for end in (given, printed, err[1], ready[1], go[0])]
    inherited = (inner, seccomp, listed, *files.values())
    kernel.close_on_exec_from(3)
    for descriptor in inherited:
        os.set_inheritable(descriptor, True)
    with _first_to_be_killed():
        pid = os.posix_spawn(
            launcher.bwrap,
            ["bwrap", "--args", str(listed), "--", *stage],
            {},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, end, place) for end, place in zip(ends, _PLACES, strict=True)
            ],
            setsigdef=_resettable_signals(),
            setsigmask=[],
        )
    for end in (*inherited, *ends):
        os.close(end)
    return Started(pid=pid, out=out[0], err=err[0], status=status[0], ready=ready[0], go=go[1])


@contextmanager
def _first_to_be_killed() -> Iterator[None]:
    """What is started here is what the kernel kills when the group is out of memory, and not the keeper beside it:
    a tool's `oom_score_adj` is inherited, and nobody without rights can lower it below where it began."""
    score = "/proc/self/oom_score_adj"
    before = _written(score, "1000")
    yield
    if before:
        _written(score, before)


def _written(path: str, text: str) -> str:
    """What stood there before; nothing where it cannot be written."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        before = os.read(descriptor, 16).decode().strip()
        os.pwrite(descriptor, text.encode(), 0)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return before


def _standard_input(text: str) -> int:
    if not text:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    return kernel.sealed_memory("stdin", text.encode())


def _texts(call: CallSpec) -> dict[str, bytes]:
    texts = etc_files(call.aliases) | {PROGRAM: call.program}
    return {path: text.encode() for path, text in texts.items()}


def _moved_up(descriptor: int) -> int:
    """Out of the way of the numbers that the stage uses."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _ABOVE_STAGE)
    os.close(descriptor)
    return moved


@functools.cache
def _resettable_signals() -> list[signal.Signals]:
    """Ignored signals are inherited: Python ignores PIPE and XFSZ, the launcher TERM, and no tool expects that."""
    return [number for number in signal.Signals if number not in (signal.SIGKILL, signal.SIGSTOP)]


def limit_tool(pid: int, limits: dict[str, Any], *, grouped: bool) -> None:
    """Limits per process stand behind those for the tree; where no group counts memory, they stand in front.

    The tool waits in its stage while they are set, so it never runs without them.
    """
    with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")
    values = {
        resource.RLIMIT_CORE: 1,  # at zero the host's handler of crashes, if it has one, would still be started
        resource.RLIMIT_FSIZE: limits["file_mb"] * _MIB,
        resource.RLIMIT_NPROC: limits["pids"] + 1,  # the namespace's first process has the same uid
        resource.RLIMIT_CPU: int(limits["cpu_s"]) + 2,
        resource.RLIMIT_MEMLOCK: 64 * 1024,
        resource.RLIMIT_MSGQUEUE: 64 * 1024,
        resource.RLIMIT_SIGPENDING: 1024,
        resource.RLIMIT_RTPRIO: 0,
        resource.RLIMIT_NICE: 0,
    }
    if not grouped:
        # Far above the limit, so that the watchdog, which can tell why, is the first to bite.
        values[resource.RLIMIT_DATA] = limits["memory_mb"] * _MIB + _MOST_RESERVED
    for kind, value in values.items():
        ceiling = resource.prlimit(pid, kind)[1]
        held = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        resource.prlimit(pid, kind, (held, held))


def let_the_watch_come_first(pid: int, memory_mb: int) -> None:
    """Where a watchdog alone holds the memory it must come before the tool, and before many of it at once.

    A small limit is passed in a moment. So it has one processor, on which the watchdog sits too, and a smaller share of
    it: however busy the machine is, the tool cannot run there for long while the watchdog waits.
    """
    kernel.take_short_turns(pid, nice=_NICE)
    allowed = sorted(os.sched_getaffinity(pid))
    processors = random.sample(allowed, min(len(allowed), processors_for(memory_mb)))
    os.sched_setaffinity(pid, processors)
    if processors_for(memory_mb) == 1:
        os.sched_setaffinity(0, processors)
        with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as file:  # noqa: PTH123
            file.write(
                str(_NICE_SESSION)
            )  # where sessions share the processor, priorities count within one alone
    with contextlib.suppress(PermissionError):  # allowed where the launcher is root
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(WATCH_PRIORITY))
