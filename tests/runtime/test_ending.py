"""A worker process that is ended from inside: it is gone soon, so that whoever keeps it up starts it again."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys
from workers.ending import ending

async def serve():
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    ends = {"exits": sys.exit, "cancelled": asyncio.current_task().cancel}
    loop.call_soon(ends[sys.argv[1]])
    try:
        with ending(stop, drain_s=600):
            await stop.wait()
    finally:
        await asyncio.Event().wait()  # the drain of pollers that are dead

asyncio.run(serve())
"""


@pytest.mark.parametrize("how", ["exits", "cancelled"])
def test_a_worker_whose_loop_ends_from_inside_does_not_outlive_it(how: str) -> None:
    words = [sys.executable, "-c", PROGRAM, how]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "worker_ended_from_inside" in ended.stdout + ended.stderr
