"""Hundreds of streams at once: each active one gets every event in order, and each costs little memory."""

import asyncio
import os
from pathlib import Path

import httpx
import pytest

from api.access import bootstrap_key
from holdfast.adapters.postgres.database import Database
from holdfast.client import Holdfast
from schemas.runs import RunRequest
from tests.api.conftest import until
from tests.api.test_crash import free_port, record, start_api

IDLE, ACTIVE, EVENTS = 500, 50, 20
MOST_BYTES_A_STREAM = 256 * 1024


@pytest.mark.long
async def test_five_hundred_idle_and_fifty_active_streams_lose_nothing_and_weigh_little(
    database: Database, database_url: str, temporal_address: str, tmp_path: Path
) -> None:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "HOLDFAST_API__PORT": str(port),
        "HOLDFAST_AUTH__READS_PER_S": "10000",
    }
    api = await start_api(environment, port, tmp_path)
    url = f"http://127.0.0.1:{port}"
    async with (
        Holdfast(url, await bootstrap_key(database)) as holdfast,
        httpx.AsyncClient(timeout=60) as http,
    ):
        quiet = await holdfast.runs.start(RunRequest(goal="quiet"))
        loud = await holdfast.runs.start(RunRequest(goal="loud"))
        before = resident(api.pid)
        idle = [asyncio.create_task(_followed(holdfast, quiet.id)) for _ in range(IDLE)]
        active = [asyncio.create_task(_followed(holdfast, loud.id)) for _ in range(ACTIVE)]

        async def all_open() -> bool:
            return bool((await http.get(f"{url}/readyz")).json()["streams"] == IDLE + ACTIVE)

        await until(all_open, patience_s=90)
        for number in range(EVENTS):
            await record(database, loud.id, f"n{number}", "run.message", None)
        grown = resident(api.pid) - before
        for run_id in (loud.id, quiet.id):
            await record(database, run_id, "ended", "run.ended", "succeeded")
        told = await asyncio.wait_for(asyncio.gather(*active), 60)
        kept = await asyncio.wait_for(asyncio.gather(*idle), 60)
    api.terminate()
    assert await api.wait() == 0
    assert told == [list(range(1, EVENTS + 3))] * ACTIVE
    assert kept == [[1, 2]] * IDLE
    assert grown < MOST_BYTES_A_STREAM * (IDLE + ACTIVE)


async def _followed(holdfast: Holdfast, run_id: str) -> list[int]:
    return [event.seq async for event in holdfast.runs.follow(run_id)]


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
