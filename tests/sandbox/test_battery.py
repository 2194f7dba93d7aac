"""Hostile programs against the sandbox, each judged from outside. Short form: one backend, in this process."""

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from schemas.sandbox import SandboxRequest, SandboxResult
from tests.interpreters import OpenPython
from tests.sandbox.cases import ESCAPED, Case
from tests.sandbox.conftest import World, alive, until
from tests.sandbox.honest import HONEST
from tests.sandbox.hostile_disk import DISK
from tests.sandbox.hostile_escapes import ESCAPES
from tests.sandbox.hostile_files import FILES
from tests.sandbox.hostile_interfaces import INTERFACES
from tests.sandbox.hostile_kernel import KERNEL
from tests.sandbox.hostile_memory import MEMORY
from tests.sandbox.hostile_network import NETWORK
from tests.sandbox.hostile_processes import PROCESSES
from tests.sandbox.hostile_proxy import PROXY
from tests.sandbox.hostile_reach import REACH
from tests.sandbox.hostile_results import LIES
from tests.sandbox.hostile_survival import SURVIVAL

CASES = (
    *ESCAPES,
    *INTERFACES,
    *MEMORY,
    *KERNEL,
    *PROCESSES,
    *DISK,
    *NETWORK,
    *LIES,
    *REACH,
    *SURVIVAL,
    *FILES,
    *PROXY,
    *HONEST,
)
_PROJECT = Path(__file__).parents[2]
_ORDINARY = 61234
"""An ordinary user: `nobody` would not do, which is what everybody is in a namespace before it is mapped."""

_WITHOUT_GROUPS = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro none /sys/fs/cgroup && exec "$@"', "sh")
"""Root, where control groups cannot be written to."""


_NOTHING = Case(name="nothing", program="", language="sh")
_START_S = 2.0
"""What the command line may take beside the call."""

Call = Callable[[SandboxRequest], Awaitable[SandboxResult]]


def _judge(case: Case, world: World, result: SandboxResult) -> None:
    said = result.stdout + result.stderr
    assert result.status in case.ends, (result.status, result.error, said[:2000])
    assert ESCAPED not in said
    assert world.token not in result.model_dump_json()
    assert world.fill(case.says) in result.stdout, said[:2000]
    assert case.check is None or case.check(result), result.model_dump_json()[:3000]
    assert not world.knocked()


async def _try(case: Case, world: World, call: Call, run: str, *, spare_s: float = 0) -> None:
    before = len(world.server.seen)
    began = time.monotonic()
    result = await call(case.request(run, world.fill))
    took = time.monotonic() - began
    _judge(case, world, result)
    if case.hits is not None:
        assert len(world.server.seen) - before == case.hits
    assert took < case.within_s + spare_s or await _was_the_machine_late(case, world, call)


async def _was_the_machine_late(case: Case, world: World, call: Call) -> bool:
    """What comes late on a busy machine is in time beside a call that does nothing, if not at the first try."""

    async def took(tried: Case) -> float:
        began, run = time.monotonic(), f"battery-{uuid.uuid4().hex}"
        await call(tried.request(run, world.fill))
        return time.monotonic() - began

    for _ in range(5):
        if await took(case) - await took(_NOTHING) < case.within_s:
            return True
    return False


def test_the_battery_is_large_enough() -> None:
    assert len(CASES) >= 350
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.timeout(300)  # a late case is tried again
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_hostile_program_harms_nothing_but_itself(
    case: Case, sandbox: BubblewrapSandbox, world: World
) -> None:
    run = f"battery-{uuid.uuid4().hex}"
    await _try(case, world, sandbox.run, run)
    assert await until(lambda: not alive(run))  # the keeper itself may need a moment after its report
    await sandbox.forget(run)


def ordinary_user(python: OpenPython) -> tuple[str, ...]:
    """For root: the sandbox's command line as an ordinary user, with an interpreter that everybody can reach."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    drop = ("setpriv", f"--reuid={_ORDINARY}", f"--regid={_ORDINARY}", "--clear-groups")
    environment = ("env", "HOME=/nonexistent", f"PYTHONPATH={packages}", "PYTHONDONTWRITEBYTECODE=1")
    return (*drop, *environment, python.program, "-m", "holdfast.cli.sandbox")


@pytest.fixture
def command_line(who: str, reachable_python: OpenPython) -> Sequence[str]:
    """How the sandbox is started by whoever `who` names."""
    own = (sys.executable, "-m", "holdfast.cli.sandbox")
    starts = {"self": own, "without_groups": (*_WITHOUT_GROUPS, *own)}
    return starts.get(who) or ordinary_user(reachable_python)


@pytest.mark.long
@pytest.mark.parametrize("who", ["self", "without_groups", "ordinary"] if os.geteuid() == 0 else ["self"])
@pytest.mark.timeout(300)  # a late case is tried again
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_hostile_program_through_the_command_line(
    case: Case, command_line: Sequence[str], world: World
) -> None:
    async def call(request: SandboxRequest) -> SandboxResult:
        done = await asyncio.to_thread(_exec, command_line, request)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.count(b"\n") == 1
        return SandboxResult.model_validate_json(done.stdout)

    await _try(case, world, call, f"battery-{uuid.uuid4().hex}", spare_s=_START_S)


def _exec(command_line: Sequence[str], request: SandboxRequest) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*command_line, "exec"],
        input=request.model_dump_json().encode(),
        capture_output=True,
        cwd=_PROJECT,
        check=False,
        timeout=60,
    )
