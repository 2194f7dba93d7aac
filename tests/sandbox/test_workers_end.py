"""When the worker goes, its tools go; when it stays, nothing piles up."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from schemas.sandbox import Limits, SandboxRequest, SandboxStatus
from tests.sandbox.conftest import until

_PROJECT = Path(__file__).parents[2]


def _running(marker: str) -> list[str]:
    return subprocess.run(
        ["pgrep", "-fx", marker], capture_output=True, text=True, check=False
    ).stdout.split()


def _wait_for(marker: str, count: int, seconds: float) -> float:
    began = time.monotonic()
    while len(_running(marker)) != count and time.monotonic() - began < seconds:
        time.sleep(0.01)
    assert len(_running(marker)) == count
    return time.monotonic() - began


def _calling(request: dict[str, str], store: Path) -> subprocess.Popen[bytes]:
    """A worker of its own, in the middle of one call."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "holdfast.cli.sandbox", "exec", "--store", str(store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=_PROJECT,
    )
    assert worker.stdin
    with worker.stdin as stdin:
        stdin.write(json.dumps(request).encode())
    return worker


def test_nothing_is_alive_a_second_after_the_worker_is_killed(tmp_path: Path) -> None:
    marker = f"sleep 300.{os.getpid()}"
    program = f"trap '' TERM; setsid {marker} & ({marker} &) ; {marker}"
    worker = _calling({"run": "r", "program": program}, tmp_path / "store")
    _wait_for(marker, 3, 15)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert _wait_for(marker, 0, 5) < 1.0


async def test_what_a_killed_worker_left_of_calls_without_a_run_is_swept_by_the_next(tmp_path: Path) -> None:
    store, marker = tmp_path / "store", f"sleep 302.{os.getpid()}"
    worker = _calling({"program": marker}, store)
    _wait_for(marker, 1, 15)
    worker.kill()
    worker.wait()
    _wait_for(marker, 0, 5)
    assert len(list(store.iterdir())) == 1
    sandbox = BubblewrapSandbox(store=store)
    await sandbox.run(SandboxRequest(run="kept", program="true"))
    assert [path.name.startswith("passing-") for path in store.iterdir()] == [False]
    await sandbox.close()


async def test_an_interrupted_call_leaves_the_workspace_as_it_was(tmp_path: Path) -> None:
    sandbox = BubblewrapSandbox(store=tmp_path / "store")
    run = uuid.uuid4().hex
    await sandbox.run(SandboxRequest(run=run, program="echo before > f"))
    marker = f"sleep 301.{os.getpid()}"
    call = asyncio.ensure_future(sandbox.run(SandboxRequest(run=run, program=f"echo after > f; {marker}")))
    assert await until(lambda: bool(_running(marker)))
    assert sandbox.launcher_pid
    os.kill(sandbox.launcher_pid, signal.SIGKILL)
    assert (await call).status is SandboxStatus.SANDBOX_ERROR
    _wait_for(marker, 0, 5)
    again = await sandbox.run(SandboxRequest(run=run, program="cat f"))
    assert again.stdout == "before\n"
    await sandbox.close()


@pytest.mark.timeout(900)  # the long form is 2,000 calls
async def test_no_descriptor_process_group_or_mount_is_left(tmp_path: Path, *, full: bool) -> None:
    store = tmp_path / "store"
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.sandbox.many_calls", str(store), "40" if full else "1"),
        stdout=subprocess.PIPE,
        cwd=_PROJECT,
    )
    said, _ = await worker.communicate()
    held = json.loads(said)
    assert held["after"] == held["before"]
    assert list(store.iterdir()) == []


async def test_a_flood_does_not_reach_the_workers_memory(tmp_path: Path) -> None:
    sandbox = BubblewrapSandbox(store=tmp_path / "store")
    await sandbox.run(SandboxRequest(program="true"))
    before = _resident()
    result = await sandbox.run(
        SandboxRequest(program="head -c 268435456 /dev/zero", limits=Limits(output_kb=4096, wall_s=60))
    )
    assert result.usage.stdout_bytes == 268435456
    assert (
        _resident() - before < 64 * 1024
    )  # the result itself is some megabytes, several times while it is built
    await sandbox.close()


def _resident() -> int:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")
    )
    return int(line.split()[1])


def test_a_machine_without_user_namespaces_is_told_the_remedy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_NAMESPACES, str(tmp_path / "store")],
        input=b'{"program": "true"}',
        capture_output=True,
        cwd=_PROJECT,
        check=False,
        timeout=60,
    )
    result = json.loads(done.stdout)
    assert result["status"] == "refused", result
    assert "user namespaces" in result["error"] or "unshare" in result["error"]
    assert "remedy" in result["error"]


_WITHOUT_NAMESPACES = """
import sys
from holdfast.adapters.bubblewrap import client
client._ENTRY = client._ENTRY.replace("import main; main()", "import main; from holdfast.adapters.bubblewrap import kernel; "
  "kernel.unshare = lambda flags: (_ for _ in ()).throw(OSError(28, 'unshare: No space left on device')); main()")
from holdfast.cli.sandbox import sandbox
sys.argv = ["sandbox", "exec", "--store", sys.argv[1]]
sandbox()
"""
