"""When is a payload better kept in Postgres than in the history? One activity that takes and returns a value of a size,
with everything inline and with everything stored: milliseconds a step, to replay a run, and bytes of history a step.

    python benchmarks/payload_threshold.py [runs]
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Replayer, Worker

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.migrate import migrate
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.embedded.postgres import EmbeddedPostgres
from holdfast.embedded.temporal import EmbeddedTemporal
from holdfast.runtime.temporal import HoldfastPlugin, connect

KIB = 1024
SIZES = (2, 8, 16, 32, 64, 128, 256)
STEPS = 5
NEVER = 64 * 1024 * KIB


@activity.defn
async def turn(text: str) -> str:
    return text[::-1]


@workflow.defn(sandboxed=False)  # payloads are measured, and a script cannot be imported again
class Steps:
    @workflow.run
    async def run(self, text: str) -> int:
        for number in range(STEPS):
            text = await workflow.execute_activity(
                turn, f"{number}{text[1:]}", start_to_close_timeout=timedelta(seconds=30)
            )
        return len(text)


async def measure(client: Client, plugin: HoldfastPlugin, size: int, runs: int) -> tuple[float, float, float]:
    queue = f"bench-{uuid4()}"
    text = os.urandom(size * KIB // 2).hex()
    steps: list[float] = []
    handle: WorkflowHandle[Steps, int] | None = None
    async with Worker(client, task_queue=queue, workflows=[Steps], activities=[turn]):
        for _ in range(runs):
            started = time.perf_counter()
            handle = await client.start_workflow(Steps.run, text, id=f"bench-{uuid4()}", task_queue=queue)
            await handle.result()
            steps.append((time.perf_counter() - started) * 1000 / STEPS)
    assert handle is not None
    history = await handle.fetch_history()
    weight = sum(event.ByteSize() for event in history.events) / STEPS
    started = time.perf_counter()
    await Replayer(workflows=[Steps], plugins=[plugin]).replay_workflow(history)
    return statistics.median(steps[1:]), (time.perf_counter() - started) * 1000, weight


async def main(runs: int, folder: Path) -> None:
    postgres = EmbeddedPostgres(folder / "pg", log=folder / "pg.log")
    temporal = EmbeddedTemporal(log=folder / "temporal.log", database=folder / "temporal.db")
    await postgres.start()
    await temporal.start()
    try:
        await migrate(postgres.url)
        database = await Database.open(postgres.url)
        print(f"{'KiB':>5} | inline: ms/step  replay ms  B/step | stored: ms/step  replay ms  B/step")
        for size in SIZES:
            row = []
            for threshold in (NEVER, 0):
                # A driver of its own for the replay: another worker has nothing of it in memory.
                plugins = [
                    HoldfastPlugin(payloads=PostgresPayloads(database), inline_bytes=threshold)
                    for _ in range(2)
                ]
                client = await connect(plugins[0], address=temporal.address)
                row.append(await measure(client, plugins[1], size, runs))
            cells = [f"{step:15.1f} {replay:10.1f} {weight:7.0f}" for step, replay, weight in row]
            print(f"{size:>5} | {cells[0]} | {cells[1]}", flush=True)
        await database.close()
    finally:
        await temporal.stop()
        await postgres.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 12, Path(scratch)))
    sys.stdout.flush()
    os._exit(0)
