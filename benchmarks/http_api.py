"""The API under load: what a start costs, how late an event is, and what open streams weigh.

    python benchmarks/http_api.py       # about a minute; starts its own Postgres, Temporal and API

The API is a process of its own, as in production; the load comes from this one. On a noisy machine trust the ratio to
the line `GET /livez`, which is HTTP alone.
"""

import asyncio
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from psycopg.types.json import Jsonb

from api.access import bootstrap_key
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.migrate import migrate
from holdfast.client import Holdfast
from holdfast.runtime.embedded.postgres import EmbeddedPostgres
from holdfast.runtime.embedded.temporal import TUNED, EmbeddedTemporal
from schemas.runs import RunRequest

STARTS_A_SECOND = 20
SECONDS = 15
IDLE, ACTIVE = 500, 50
ROUNDS = 20


@dataclass
class Bench:
    url: str
    key: str
    database: Database
    pid: int


async def main() -> None:
    async with started() as bench:
        async with httpx.AsyncClient(
            base_url=bench.url, headers={"Authorization": f"Bearer {bench.key}"}
        ) as http:
            await paced("GET /livez", lambda: http.get("/livez"))
            await paced("GET /v1/runs/{id}", lambda: http.get("/v1/runs/run_00000000000000000000000000"))
            await paced("POST /v1/runs", lambda: http.post("/v1/runs", json={"goal": "measure"}))
        await streams(bench)


async def paced(name: str, call: Callable[[], Awaitable[httpx.Response]]) -> None:
    """At a fixed rate, whatever the answers take: a slow server meets a queue, as it would outside."""
    await call()
    times: list[float] = []

    async def once() -> None:
        since = time.perf_counter()
        answer = await call()
        assert answer.status_code < 500, answer.text
        times.append((time.perf_counter() - since) * 1000)

    async with asyncio.TaskGroup() as group:
        for _ in range(STARTS_A_SECOND * SECONDS):
            group.create_task(once())
            await asyncio.sleep(1 / STARTS_A_SECOND)
    report(f"{name} at {STARTS_A_SECOND}/s", times, goal=100 if name.startswith("POST") else None)


async def streams(bench: Bench) -> None:
    """Idle streams that only cost memory, and active ones whose events are timed from before they are told."""
    holdfast = Holdfast(bench.url, bench.key)
    quiet = await holdfast.runs.start(RunRequest(goal="quiet"))
    loud = await holdfast.runs.start(RunRequest(goal="loud"))
    before = _resident(bench.pid)
    told: dict[int, float] = {}
    times: list[float] = []
    tasks = [asyncio.create_task(_follow(holdfast, quiet.id, told, [])) for _ in range(IDLE)]
    tasks += [asyncio.create_task(_follow(holdfast, loud.id, told, times)) for _ in range(ACTIVE)]
    await _all_open(bench)
    weight = (_resident(bench.pid) - before) / (IDLE + ACTIVE) / 1024
    print(f"{IDLE + ACTIVE} open streams weigh {weight:.0f} KiB each")
    for number in range(ROUNDS):
        told[number + 2] = time.perf_counter()
        async with bench.database.statement() as connection:
            event = [{"key": f"n{number}", "type": "run.message"}]
            await connection.execute("select record_run('default', %s, null, %s)", (loud.id, Jsonb(event)))
        await asyncio.sleep(0.2)
    async with asyncio.timeout(30):
        while len(times) < ROUNDS * ACTIVE:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    report(f"event to client, {ACTIVE} active and {IDLE} idle streams", times, goal=100)
    await holdfast.close()


async def _follow(holdfast: Holdfast, run_id: str, told: dict[int, float], times: list[float]) -> None:
    async for event in holdfast.runs.follow(run_id):
        if event.seq in told:
            times.append((time.perf_counter() - told[event.seq]) * 1000)  # noqa: PERF401 - while it happens


async def _all_open(bench: Bench) -> None:
    async with httpx.AsyncClient(base_url=bench.url) as http:
        while (await http.get("/readyz")).json()["streams"] < IDLE + ACTIVE:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def report(name: str, times: list[float], *, goal: float | None = None) -> None:
    cuts = statistics.quantiles(times, n=100)
    wanted = "" if goal is None else f"   goal: p95 < {goal:g} ms"
    print(
        f"{name}: p50 {cuts[49]:.1f} ms, p95 {cuts[94]:.1f} ms, p99 {cuts[98]:.1f} ms, n {len(times)}{wanted}"
    )


@asynccontextmanager
async def started() -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-")))
        postgres = EmbeddedPostgres(folder / "postgres", log=folder / "postgres.log")
        await postgres.start()
        stack.push_async_callback(postgres.stop)
        temporal = EmbeddedTemporal(log=folder / "temporal.log", dynamic=TUNED)
        await temporal.start()
        stack.push_async_callback(temporal.stop)
        await migrate(postgres.url)
        database = await Database.open(postgres.url)
        stack.push_async_callback(database.close)
        key = await bootstrap_key(database)
        port = _free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "holdfast",
            "api",
            cwd=folder,
            stderr=asyncio.subprocess.DEVNULL,
            env={
                "PATH": os.environ["PATH"],
                "DATABASE_URL": postgres.url,
                "TEMPORAL_ADDRESS": temporal.address,
                "HOLDFAST_API__PORT": str(port),
                "HOLDFAST_AUTH__READS_PER_S": "10000",
                "HOLDFAST_AUTH__WRITES_PER_S": "10000",
            },
        )
        stack.push_async_callback(process.wait)
        stack.callback(process.terminate)
        while not _answers(port):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
        yield Bench(f"http://127.0.0.1:{port}", key, database, process.pid)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
    os._exit(0)  # below Python 3.14 the Temporal client may crash on its way out
