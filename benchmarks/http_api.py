"""The API under load: what a start costs, how late an event is, and what open streams weigh.

    python -m benchmarks.http_api       # about two minutes; starts its own Postgres, Temporal, API and workers

The API is a process of its own, as in production, and so are the workers, which carry out the runs that are started; the
load comes from this one. On a noisy machine trust the ratio to the line `GET /livez`, which is HTTP alone, and the
processor time, which does not depend on who else is running.
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
from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.migrate import migrate
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.client import Holdfast
from holdfast.embedded.postgres import EmbeddedPostgres
from holdfast.embedded.temporal import TUNED, EmbeddedTemporal
from holdfast.tools.builtin import fast_tools, sandboxed_tools
from schemas.runs import RunRequest

RUN = {
    "goal": "measure",
    "on_failure": "fail",
    "plan": {"steps": [{"id": "add", "kind": "tool", "tool": "calc", "arguments": {"expression": "1 + 1"}}]},
}
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
    environment: dict[str, str]
    folder: Path


async def main() -> None:
    async with started() as bench:
        async with httpx.AsyncClient(
            base_url=bench.url, headers={"Authorization": f"Bearer {bench.key}"}, timeout=60
        ) as http:
            await paced("GET /livez", lambda: http.get("/livez"))
            await paced("GET /v1/runs/{id}", lambda: http.get("/v1/runs/run_00000000000000000000000000"))
            await paced("POST /v1/runs", lambda: http.post("/v1/runs", json=RUN))
            await cost(bench, http)
        await streams(bench)
        async with (
            workers(bench),
            httpx.AsyncClient(
                base_url=bench.url, headers={"Authorization": f"Bearer {bench.key}"}, timeout=60
            ) as http,
        ):
            await paced("POST /v1/runs while workers carry them out", lambda: http.post("/v1/runs", json=RUN))
            await ended(http)


async def cost(bench: Bench, http: httpx.AsyncClient) -> None:
    """Processor time of the API for one start, one after another."""
    before, many = _processor_ms(bench.pid), 100
    for _ in range(many):
        (await http.post("/v1/runs", json=RUN)).raise_for_status()
    print(
        f"POST /v1/runs costs the API {(_processor_ms(bench.pid) - before) / many:.1f} ms of processor time"
    )


async def ended(http: httpx.AsyncClient) -> None:
    """Every run that was started is carried out, in the end."""
    since = time.perf_counter()
    waiting = {"status": ["queued", "running"], "text": "measure"}
    async with asyncio.timeout(300):
        while (await http.get("/v1/runs", params=waiting)).json()["items"]:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.2)
    print(f"the last run ended {time.perf_counter() - since:.1f} s after the last start")


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
    async with httpx.AsyncClient(base_url=bench.url, timeout=60) as http:
        while (await http.get("/readyz")).json()["streams"] < IDLE + ACTIVE:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


def _processor_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


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
        await publish_tools(postgres.url)
        port = _free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": postgres.url,
            "TEMPORAL_ADDRESS": temporal.address,
            "HOLDFAST_API__PORT": str(port),
            "HOLDFAST_AUTH__READS_PER_S": "10000",
            "HOLDFAST_AUTH__WRITES_PER_S": "10000",
            "HOLDFAST_KNOWLEDGE__EMBEDDING": "none",
        }
        process = await _process(environment, folder, "api")
        stack.push_async_callback(process.wait)
        stack.callback(process.terminate)
        while not _answers(port):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
        yield Bench(f"http://127.0.0.1:{port}", key, database, process.pid, environment, folder)


async def publish_tools(url: str) -> None:
    """What workers offer is part of what a start looks up."""
    database = await Database.open(url, role="holdfast_tools", max_size=1)
    tools = [*fast_tools(), *sandboxed_tools(BubblewrapSandbox(store=Path(tempfile.mkdtemp())))]
    await PostgresTools(database=database).publish([tool.spec for tool in tools])
    await database.close()


@asynccontextmanager
async def workers(bench: Bench) -> AsyncIterator[None]:
    """Two processes, as on a small machine: what decides, and what does."""
    decides = ("--queue", "orchestration", "--queue", "llm", "--queue", "knowledge")
    processes = [
        await _process(bench.environment, bench.folder, "worker", *queues)
        for queues in (decides, ("--queue", "tools"))
    ]
    async with httpx.AsyncClient(base_url=bench.url, timeout=60) as http:
        while (await http.get("/readyz")).json()["status"] != "ready":  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.1)
    yield
    for process in processes:
        process.terminate()
    await asyncio.gather(*(process.wait() for process in processes))


async def _process(environment: dict[str, str], folder: Path, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "holdfast", *words),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


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
