"""The floors of `benchmarks/learning.py`, on traps that its rules were not made for."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "learning"


@pytest.mark.long
@pytest.mark.parametrize("name", ["", "unseen-", "blind-"])
async def test_lessons_reach_tasks_in_other_words_and_hardly_any_other(name: str) -> None:
    script = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.learning", "--json"),
        *("--traps", str(DATA / f"{name}traps.jsonl"), "--unrelated", str(DATA / f"{name}unrelated.jsonl")),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await script.communicate()
    found = json.loads(printed)
    assert found["failed_first"] == found["failed_after_rollback"] == found["traps"]
    assert min(found["told_second"], found["told_third"]) >= 0.95 * found["traps"]
    assert max(found["failed_second"], found["failed_third"]) <= 0.5 * found["traps"]
    assert found["unrelated_told"] <= 0.05 * found["unrelated"]
    assert found["corrected"]
    assert found["other_tenant"] == 0
