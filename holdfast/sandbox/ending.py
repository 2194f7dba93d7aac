"""From what was seen of a call to the one word that says how it ended. Pure: the table every backend shares."""

import signal as signals

from schemas.sandbox import SandboxStatus

_BY_LIMIT = {
    "wall": SandboxStatus.TIMEOUT,
    "cpu": SandboxStatus.CPU,
    "memory": SandboxStatus.MEMORY,
    "output": SandboxStatus.OUTPUT_LIMIT,
}
_BY_SIGNAL = {signals.SIGXCPU: SandboxStatus.CPU, signals.SIGXFSZ: SandboxStatus.DISK}


def status_of(
    *, stopped_by: str, exit_code: int | None, signal: int | None, oom_killed: bool, disk_full: bool
) -> SandboxStatus:
    """A limit that stopped the call comes first; then the way the first process itself ended."""
    if stopped_by:
        return _BY_LIMIT.get(stopped_by, SandboxStatus.SANDBOX_ERROR)
    if signal is not None:
        if oom_killed and signal == signals.SIGKILL:
            return SandboxStatus.MEMORY
        return _BY_SIGNAL.get(signals.Signals(signal), SandboxStatus.SIGNAL)
    if exit_code is None:
        return SandboxStatus.SANDBOX_ERROR
    if exit_code == 0:
        return SandboxStatus.OK
    if oom_killed:
        return SandboxStatus.MEMORY
    return SandboxStatus.DISK if disk_full else SandboxStatus.ERROR
