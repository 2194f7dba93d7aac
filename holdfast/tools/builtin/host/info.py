"""`sys.info`: the machine, its load and its memory."""

import os
import platform
import socket
from pathlib import Path

from holdfast.tools.builtin.host.words import Nothing, size_text
from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload
from schemas.tools import EffectClass, ToolExample


class HostInfo(Payload):
    hostname: str
    kernel: str
    machine: str
    cpus: int
    uptime_s: float
    load_1m: float
    load_5m: float
    load_15m: float
    memory_total_bytes: int
    memory_available_bytes: int
    memory_used_percent: float
    swap_used_bytes: int

    def told(self) -> str:
        return (
            f"{self.hostname}: {self.cpus} processors, load {self.load_1m:.2f}, "
            f"memory {self.memory_used_percent:g} % of {size_text(self.memory_total_bytes)}"
        )


@declared(
    "sys.info",
    version="1.0.1",
    effect=EffectClass.READ_ONLY,
    timeout_s=10,
    examples=(ToolExample(title="What machine this is"),),
)
async def info(arguments: Nothing, context: ToolContext) -> HostInfo:  # noqa: ARG001
    """Tells the host's name, kernel, processors, uptime, load, memory and swap."""
    memory = _meminfo()
    load = os.getloadavg()
    total, available = memory.get("MemTotal", 0), memory.get("MemAvailable", 0)
    return HostInfo(
        hostname=socket.gethostname(),
        kernel=platform.release(),
        machine=platform.machine(),
        cpus=os.cpu_count() or 1,
        uptime_s=float(Path("/proc/uptime").read_text().split()[0]),  # noqa: ASYNC240 - /proc does not block
        load_1m=load[0],
        load_5m=load[1],
        load_15m=load[2],
        memory_total_bytes=total,
        memory_available_bytes=available,
        memory_used_percent=round(100 * (1 - available / total), 1) if total else 0.0,
        swap_used_bytes=memory.get("SwapTotal", 0) - memory.get("SwapFree", 0),
    )


def _meminfo() -> dict[str, int]:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1}
