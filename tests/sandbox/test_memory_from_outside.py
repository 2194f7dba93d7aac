"""What a tree without a control group of its own takes at its peak, counted by the kernel in a group around all of it."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.adapters.bubblewrap.group_parents import NoControlGroups, find_parents
from schemas.sandbox import SandboxStatus
from tests.interpreters import OpenPython
from tests.sandbox.hostile_memory import MEMORY
from tests.sandbox.test_battery import ordinary_user

_MIB = 1024 * 1024
_LIMIT = 64 * _MIB
_OVERSHOOT = 0.5
_OF_THE_KERNEL = 12 * _MIB
"""Page tables, stacks and the like of up to 64 processes; a group counts them, the watchdog only in part."""

HOGS = [
    case
    for case in MEMORY
    if case.limits == {"memory_mb": 64} and "memory" in case.ends and "ok" not in case.ends
]


@pytest.fixture
def group() -> Iterator[Path]:
    try:
        parents = find_parents()
    except NoControlGroups as error:
        pytest.skip(f"needs a control group to count in: {error}")
    if os.geteuid() != 0 or parents.version != 1:
        pytest.skip("needs root, and control groups of version 1, which keep a peak for each group")
    name = f"call-{uuid.uuid4().hex}"
    for path in parents.paths(name):
        path.mkdir()
    yield parents.directories["memory"] / name
    parents.remove(name)


def _peak(python: OpenPython, group: Path, request: dict[str, object]) -> tuple[int, dict[str, object]]:
    (group / "memory.max_usage_in_bytes").write_text("0")
    done = subprocess.run(
        ["sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec "$@"', str(group), *ordinary_user(python), "exec"],
        input=json.dumps(request).encode(),
        capture_output=True,
        cwd=Path(__file__).parents[2],
        check=True,
        timeout=60,
    )
    return int((group / "memory.max_usage_in_bytes").read_text()), json.loads(done.stdout)


@pytest.mark.long
@pytest.mark.parametrize("case", HOGS, ids=lambda case: case.name)
def test_a_tree_takes_no_more_than_was_said(case: object, group: Path, reachable_python: OpenPython) -> None:
    assert isinstance(case, type(HOGS[0]))
    request = json.loads(case.request(uuid.uuid4().hex, str).model_dump_json())
    idle, _ = _peak(reachable_python, group, request | {"program": "pass", "language": "python"})
    peak, result = _peak(reachable_python, group, request)
    assert result["status"] in (SandboxStatus.MEMORY, *case.ends)
    assert peak - idle <= _LIMIT * (1 + _OVERSHOOT) + _OF_THE_KERNEL, (peak - idle) // _MIB
