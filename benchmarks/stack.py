"""How long `holdfast up --detach` takes until every part is ready, and the processor time and memory of its parts.

    python -m benchmarks.stack [--times 5]

The first start makes the database and is shown apart; the others find it. Ports are free ones where the usual are taken.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from holdfast.embedded.state import StackState

_HOLDFAST = (sys.executable, "-P", "-m", "holdfast")
_TICKS = os.sysconf("SC_CLK_TCK")


def main(times: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        took = [started(folder) for _ in range(times + 1)]
    print(f"first start {took[0]:.1f} s")
    again = took[1:]
    print(
        f"later starts, {times}: median {statistics.median(again):.1f} s ({min(again):.1f} to {max(again):.1f})"
    )
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


def started(folder: str) -> float:
    environment = {**os.environ, "HOLDFAST_DATA_DIR": folder}
    begun = time.perf_counter()
    said = subprocess.run(
        [*_HOLDFAST, "up", "--detach", "--json"], env=environment, check=True, stdout=subprocess.PIPE
    )
    took = time.perf_counter() - begun
    state = StackState.model_validate_json(said.stdout)
    parts = {part.name: part.pid for part in state.parts if part.pid} | {"supervisor": state.pid}
    print(f"{took:.2f} s; " + ", ".join(f"{name} {_used(pid)}" for name, pid in parts.items()))
    subprocess.run([*_HOLDFAST, "down"], env=environment, check=True, stdout=subprocess.DEVNULL)
    return took


def _used(pid: int) -> str:
    """Seconds of processor time until now, and MiB of memory, shared pages by their share."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    share = Path(f"/proc/{pid}/smaps_rollup").read_text().partition("Pss:")[2].split()[0]
    return f"{(int(fields[11]) + int(fields[12])) / _TICKS:.2f} s {int(share) // 1024} MiB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=5)
    main(parser.parse_args().times)
