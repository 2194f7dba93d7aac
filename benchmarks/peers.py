"""Our lanes beside the peers, in one run on the same kind of servers: ten tool calls of a no-op tool.

    python -m benchmarks.peers [--calls 10] [--rounds 3] [--at 1 32] [--only langgraph dbos] [--ours react]

Peers ask a scripted model before each call, as an agent does. We are measured in both ways: one plan and then the
calls, and `react`, with the same scripted model call before each; every call of ours is judged and in the ledger. Each
figure is milliseconds a call: the median run, start and answer included, over its calls; of the rounds the median.
The peers live in an environment of their own, made from peers-requirements.txt the first time.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks import floor
from benchmarks.steps import Bench, Mute, no_op, prepared
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.embedded.postgres import EmbeddedPostgres
from holdfast.embedded.temporal import EmbeddedTemporal
from holdfast.ids import new_id
from holdfast.runtime.exit import leave
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.declare import Tool
from schemas.agents import AgentSpec, Mode, RunLimits
from schemas.plans import Plan, PlanSource, ToolStep
from schemas.runs import RunInput
from schemas.stages import NextMove, NextRequest, PlanProposal, PlanRequest

HERE = Path(__file__).parent
PEERS = ("pydantic-ai", "openai-agents", "langgraph", "dbos")
RUNS = {1: 8, 32: 64}
Figures = dict[int, float]


class Scripted(Mute):
    """The model of our runs: the goal says which tool, and how often."""

    async def plan(self, request: PlanRequest) -> PlanProposal:
        tool, calls = request.goal.split()
        steps = tuple(_call(tool, number) for number in range(int(calls)))
        return PlanProposal(plan=Plan(steps=steps, source=PlanSource.MODEL), by="script")

    async def next(self, request: NextRequest) -> NextMove:
        tool, calls = request.goal.split()
        if request.turn == int(calls):
            return NextMove(answer="done", by="script")
        return NextMove(step=_call(tool, request.turn), by="script")


def _call(tool: str, number: int) -> ToolStep:
    arguments = {"expression": f"{number} + 1"} if tool == calc.spec.name else {"text": f"call {number}"}
    return ToolStep(
        id=f"s{number}", tool=tool, arguments=arguments, depends_on=(f"s{number - 1}",) if number else ()
    )


async def ours(bench: Bench, tool: Tool, mode: Mode, calls: int) -> None:
    run = RunInput(
        run_id=new_id("run"),
        tenant="default",
        goal=f"{tool.spec.name} {calls}",
        agent=AgentSpec(name="operator"),
        catalogue=bench.catalogue,
        mode=mode,
        limits=RunLimits(steps=calls + 1),
        on_failure="fail",
    )
    await PostgresRuns(database=bench.database).create(run)
    output = await (await bench.begin(run)).result()
    if output["status"] != "succeeded" or output["steps_done"] != calls:
        raise RuntimeError(f"the work was not done: {output}")


async def measured(work: Callable[[], Awaitable[None]], *, calls: int, runs: int, at: int) -> float:
    slots = asyncio.Semaphore(at)
    took: list[float] = []

    async def one() -> None:
        async with slots:
            begun = time.perf_counter()
            await work()
            took.append((time.perf_counter() - begun) * 1000 / calls)

    await asyncio.gather(*(one() for _ in range(min(at, 8))))
    took.clear()
    await asyncio.gather(*(one() for _ in range(runs)))
    return statistics.median(took)


async def peers_python() -> Path:
    """The peers' interpreter; made once, beside the caches of this user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "holdfast" / "peers"
    ready = folder / "ready"
    wanted = (HERE / "peers-requirements.txt").read_text()
    if not ready.exists() or ready.read_text() != wanted:
        print(f"installing the peers into {folder}", file=sys.stderr)
        await _do(sys.executable, "-m", "venv", "--clear", str(folder))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", "-r")
        await _do(*pip, str(HERE / "peers-requirements.txt"))
        ready.write_text(wanted)
    return folder / "bin" / "python"


async def _do(*argv: str, env: dict[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, env=env, cwd=HERE, stdin=asyncio.subprocess.DEVNULL
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {process.returncode}")
    return said.decode()


async def peer(python: Path, name: str, plan: list[str], calls: int, env: dict[str, str]) -> Figures:
    program = ("-W", "ignore", "-c", "import peer_systems; peer_systems.start()")
    said = await _do(str(python), *program, name, str(calls), *plan, env={**os.environ, **env})
    return {int(at): figure for at, figure in json.loads(said.splitlines()[-1]).items()}


async def main(arguments: argparse.Namespace) -> None:
    python = await peers_python()
    plan = [f"{at}:{RUNS.get(at, 2 * at)}" for at in arguments.at]
    found: dict[str, list[Figures]] = {}
    async with AsyncExitStack() as stack:
        bench = await prepared(stack, planner=Scripted())
        env = await peers_servers(stack)
        for _ in range(arguments.rounds):
            for name, tool, mode in OURS:
                if arguments.ours not in name:
                    continue
                figures = {
                    at: await measured(
                        lambda tool=tool, mode=mode: ours(bench, tool, mode, arguments.calls),  # type: ignore[misc]
                        calls=arguments.calls,
                        runs=RUNS.get(at, 2 * at),
                        at=at,
                    )
                    for at in arguments.at
                }
                found.setdefault(name, []).append(figures)
            if arguments.ours in FLOOR:
                found.setdefault(FLOOR, []).append(await floor_figures(bench, arguments))
            for name in arguments.only:
                found.setdefault(name, []).append(await peer(python, name, plan, arguments.calls, env))
    table(found, arguments)


async def floor_figures(bench: Bench, arguments: argparse.Namespace) -> Figures:
    """The tasks and commits of `react` in the sandbox lane, and nothing in them."""
    return {
        at: await measured(
            lambda: floor.move_by_move(bench.client, arguments.calls),
            calls=arguments.calls,
            runs=RUNS.get(at, 2 * at),
            at=at,
        )
        for at in arguments.at
    }


FLOOR = "bare Temporal, tasks and commits of react"
OURS: tuple[tuple[str, Tool, Mode], ...] = (
    ("holdfast, plan, sandbox lane", no_op, "plan"),
    ("holdfast, plan, fast lane", calc, "plan"),
    ("holdfast, react, sandbox lane", no_op, "react"),
    ("holdfast, react, fast lane", calc, "react"),
)


async def peers_servers(stack: AsyncExitStack) -> dict[str, str]:
    """Servers as ours are, and not ours: a peer's tables stay out of our database."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    postgres = EmbeddedPostgres(folder / "postgres", log=folder / "postgres.log")
    temporal = EmbeddedTemporal(log=folder / "temporal.log", database=folder / "temporal.db")
    for server in (postgres, temporal):
        await server.start()
        stack.push_async_callback(server.stop)
    return {"PEER_POSTGRES": postgres.url, "PEER_TEMPORAL": temporal.address}


def table(found: dict[str, list[Figures]], arguments: argparse.Namespace) -> None:
    load = os.getloadavg()
    print(
        f"{arguments.calls} calls, {arguments.rounds} rounds, {os.cpu_count()} cores, load {load[0]:.1f} {load[1]:.1f}"
    )
    print("| system | " + " | ".join(f"ms a call at {at} | x" for at in arguments.at) + " |")
    print("|---|" + "---|---|" * len(arguments.at))
    medians = {
        name: {at: statistics.median(r[at] for r in rounds) for at in arguments.at}
        for name, rounds in found.items()
    }
    ground = next(iter(medians.values()))
    for name, figures in medians.items():
        cells = " | ".join(f"{figures[at]:.1f} | {figures[at] / ground[at]:.2f}" for at in arguments.at)
        print(f"| {name} | {cells} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--ours", default="", help="these of ours: what is in their names")
    parser.add_argument("--only", nargs="*", default=list(PEERS), choices=PEERS, help="these peers")
    asyncio.run(main(parser.parse_args()))
    leave(0)
