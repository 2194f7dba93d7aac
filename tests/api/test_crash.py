"""An API killed in the middle of a stream: its client goes on at the next one, with nothing lost and nothing doubled."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path

from psycopg.types.json import Jsonb

from api.access import bootstrap_key
from holdfast.adapters.postgres.database import Database
from holdfast.client import Holdfast
from schemas.events import TERMINAL_EVENT
from schemas.runs import RunRequest
from tests.api.conftest import until

EVENTS = 120


async def test_a_stream_survives_kill_9_of_the_api_with_nothing_lost_or_doubled(
    database: Database, database_url: str, temporal_address: str, tmp_path: Path
) -> None:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "HOLDFAST_API__PORT": str(port),
    }
    api = await start_api(environment, port, tmp_path)
    async with Holdfast(f"http://127.0.0.1:{port}", await bootstrap_key(database)) as holdfast:
        whole: list[int] = []
        watching = asyncio.create_task(_watch_tenant(holdfast, whole))
        await until(lambda: _followed(holdfast))
        run = await holdfast.runs.start(RunRequest(goal="survive"))
        telling = asyncio.create_task(_tell(database, run.id))
        seen = []
        async for event in holdfast.runs.follow(run.id):
            seen.append(event.seq)
            if event.seq == 40:
                api.send_signal(signal.SIGKILL)
                await api.wait()
                api = await start_api(environment, port, tmp_path)
        await telling
        await asyncio.wait_for(watching, 30)
    assert seen == whole == list(range(1, EVENTS + 3))
    api.terminate()
    assert await api.wait() == 0


async def _watch_tenant(holdfast: Holdfast, seen: list[int]) -> None:
    async for event in holdfast.events.follow():
        seen.append(event.seq)
        if event.type is TERMINAL_EVENT:
            return


async def _followed(holdfast: Holdfast) -> bool:
    return bool((await holdfast.wire.ask("GET", "/readyz")).json()["streams"])


async def _tell(database: Database, run_id: str) -> None:
    for number in range(EVENTS):
        await record(database, run_id, f"n{number}", "run.message", None)
        await asyncio.sleep(0.002)  # so that the stream is alive while it is cut
    await record(database, run_id, "ended", "run.ended", "succeeded")


async def record(database: Database, run_id: str, key: str, kind: str, status: str | None) -> None:
    patch = Jsonb({"status": status}) if status else None
    async with database.statement() as connection:
        await connection.execute(
            "select record_run('default', %s, %s, %s)", (run_id, patch, Jsonb([{"key": key, "type": kind}]))
        )


async def start_api(environment: dict[str, str], port: int, folder: Path) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "holdfast", "api", env=environment, cwd=folder, stdout=DEVNULL, stderr=DEVNULL
    )

    async def alive() -> bool:
        assert process.returncode is None, "the API did not start"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    await until(alive, patience_s=30)
    return process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
