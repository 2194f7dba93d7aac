"""The example of the client is a program that runs."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.api.conftest import RunningApi, end_run, tell, until

EXAMPLE = Path(__file__).parents[2] / "examples" / "client.py"


async def test_the_example_starts_a_run_and_follows_it_to_its_end(api: RunningApi) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLE),
        "look at the example",
        stdout=PIPE,
        env={"HOLDFAST_API_URL": api.url, "HOLDFAST_API_KEY": api.key, "PATH": "/usr/bin:/bin"},
    )
    found: list[str] = []

    async def started() -> bool:
        page = await api.client().runs.page(filters={"text": "look at the example"})
        found[:] = [run.id for run in page.items]
        return bool(found)

    await until(started, patience_s=30)
    await tell(api, found[0], "run.message")
    await end_run(api, found[0])
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    told = out.decode()
    assert "1 run.created" in told
    assert "succeeded:" in told
    assert "0 tool calls" in told
