"""What the sandbox costs: `python -m benchmarks.sandbox`. Overhead over a bare subprocess, side by side in one run.

The two forms of a call alternate, so that a noisy neighbour hits both. Prints one line per figure with its goal;
exits with 1 when a goal is missed.
"""

import argparse
import asyncio
import glob
import http.server
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from schemas.sandbox import Limits, NetworkPolicy, SandboxRequest, SandboxStatus

Call = Callable[[], Awaitable[object]]


class Figures:
    """What was measured, and whether it reached its goal."""

    def __init__(self) -> None:
        self.missed = 0

    def add(self, name: str, value: float, goal: float, unit: str = "ms") -> None:
        good = value <= goal
        self.missed += not good
        print(f"{'ok  ' if good else 'MISS'}  {name:<58} {value:9.1f} {unit:<4} goal <= {goal:g}")


async def bare(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    await process.communicate()


async def timed(call: Call) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1000


async def overheads(first: Call, second: Call, rounds: int) -> list[float]:
    """Per round, how much longer the second took than the first."""
    return [-(await timed(first)) + await timed(second) for _ in range(rounds)]


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


async def latency(sandbox: BubblewrapSandbox, figures: Figures, rounds: int) -> None:
    for name, program, language, command in (
        ("sh -c true", "true", "sh", ("/bin/sh", "-c", "true")),
        ("python -c pass", "pass", "python", ("/usr/bin/python3", "-I", "-c", "pass")),
    ):
        request = SandboxRequest.model_validate(
            {"run": "bench", "language": language, "program": program}, strict=False
        )
        found = await overheads(lambda c=command: bare(*c), lambda r=request: sandbox.run(r), rounds)  # type: ignore[misc]  # bound per turn
        figures.add(f"{name}: added, p50", percentile(found, 0.5), 25)
        figures.add(f"{name}: added, p95", percentile(found, 0.95), 60)


async def allow_list(sandbox: BubblewrapSandbox, figures: Figures, rounds: int) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    network = NetworkPolicy(
        mode="allowlist", allow=(f"127.0.0.1:{server.server_port}",), allow_cidrs=("127.0.0.0/8",)
    )
    request = SandboxRequest(run="bench", program=f"curl -sS {url}", network=network)
    found = await overheads(
        lambda: bare("/bin/sh", "-c", f"curl -sS {url}"), lambda: sandbox.run(request), rounds
    )
    figures.add("curl through the allow list: added, p50", percentile(found, 0.5), 40)
    server.shutdown()
    server.server_close()


async def wall_limit(sandbox: BubblewrapSandbox, figures: Figures) -> None:
    request = SandboxRequest(program="trap '' TERM; while :; do :; done", limits=Limits(wall_s=0.5))
    late = [await timed(lambda: sandbox.run(request)) - 500 for _ in range(5)]
    figures.add("return after the wall limit, TERM ignored, worst of 5", max(late), 500)


async def at_once(sandbox: BubblewrapSandbox, figures: Figures, count: int) -> None:
    """Descriptors, processes and mounts are counted before and after."""
    before = holdings(sandbox)
    began = time.perf_counter()
    for _ in range(count // 50):
        results = await asyncio.gather(*(sandbox.run(SandboxRequest(program="true")) for _ in range(50)))
        if any(result.status is not SandboxStatus.OK for result in results):
            print("MISS  a call failed:", next(r for r in results if r.status is not SandboxStatus.OK).error)
            figures.missed += 1
    took = time.perf_counter() - began
    await asyncio.sleep(0.5)
    after = holdings(sandbox)
    print(f"      {count} calls, 50 at once: {count / took:.0f} a second")
    for name, old, new in zip(("descriptors", "groups", "mounts"), before, after, strict=True):
        figures.add(f"left behind after {count} calls: {name}", new - old, 0, "")


def holdings(sandbox: BubblewrapSandbox) -> tuple[int, int, int]:
    """Groups of this sandbox alone: others on this machine have theirs."""
    own = f"/sys/fs/cgroup/**/holdfast/call-{sandbox.launcher_pid}-*"
    groups = len(glob.glob(own, recursive=True))  # noqa: PTH207 - a path's own stumbles over what goes meanwhile
    mounts = len(Path("/proc/self/mounts").read_text().splitlines())
    return len(os.listdir("/proc/self/fd")), groups, mounts  # noqa: PTH208 - iterdir holds one more open


async def measure(rounds: int, calls: int) -> int:
    figures = Figures()
    with tempfile.TemporaryDirectory() as store:
        sandbox = BubblewrapSandbox(store=Path(store))
        first = await sandbox.run(SandboxRequest(program="true"))
        print(
            f"      held by: {', '.join(first.isolation.layers)}; weaker: {first.isolation.degraded or 'nothing'}"
        )
        bares = [await timed(lambda: bare("/bin/sh", "-c", "true")) for _ in range(20)]
        print(f"      a bare sh -c true takes {statistics.median(bares):.1f} ms here")
        await latency(sandbox, figures, rounds)
        await allow_list(sandbox, figures, rounds)
        await wall_limit(sandbox, figures)
        await at_once(sandbox, figures, calls)
        await sandbox.close()
    return 1 if figures.missed else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--calls", type=int, default=2000)
    chosen = parser.parse_args()
    sys.exit(asyncio.run(measure(chosen.rounds, chosen.calls)))


if __name__ == "__main__":
    main()
