"""From what was seen of a call to the one word that says how it ended. Pure: the table every backend shares."""

import signal as signals

from schemas.sandbox import SandboxStatus

_BY_LIMIT = {
    "wall": SandboxStatus.TIMEOUT,
    "cpu": SandboxStatus.CPU,
    "memory": SandboxStatus.MEMORY,
    "output": SandboxStatus.OUTPUT_LIMIT,
}


def status_of(
    *,
    stopped_by: str,
    exit_code: int | None,
    signal: int | None,
    oom_killed: bool = False,
    disk_full: bool = False,
    cpu_spent: bool = False,
) -> SandboxStatus:
    """A limit that stopped the call comes first; then the way the first process itself ended.

    A signal alone names no limit: any program can send itself SIGXCPU, and only what was measured makes it one.
    """
    if stopped_by:
        return _BY_LIMIT.get(stopped_by, SandboxStatus.SANDBOX_ERROR)
    if signal is not None:
        return _of_signal(signal, oom_killed=oom_killed, disk_full=disk_full, cpu_spent=cpu_spent)
    if exit_code is None:
        return SandboxStatus.SANDBOX_ERROR
    if exit_code == 0:
        return SandboxStatus.OK
    if oom_killed:
        return SandboxStatus.MEMORY
    return SandboxStatus.DISK if disk_full else SandboxStatus.ERROR


def _of_signal(signal: int, *, oom_killed: bool, disk_full: bool, cpu_spent: bool) -> SandboxStatus:
    if signal == signals.SIGKILL and oom_killed:
        return SandboxStatus.MEMORY
    if (
        signal in (signals.SIGXFSZ, signals.SIGBUS) and disk_full
    ):  # a mapped file that cannot grow is a bus error
        return SandboxStatus.DISK
    if signal in (signals.SIGXCPU, signals.SIGKILL) and cpu_spent:
        return SandboxStatus.CPU
    return SandboxStatus.SIGNAL
