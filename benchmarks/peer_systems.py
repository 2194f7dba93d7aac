# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN201, ANN202, PLC0415 -- runs where the peers are installed, which is not here
"""One agent run in a peer's own durable way: a scripted model asks for a no-op tool, N times, then answers.

Runs in the peers' environment, never in ours; `benchmarks/peers.py` makes it and starts this. Prints one JSON object:
milliseconds a tool call (the median run over its calls) for every concurrency asked for.
"""

import asyncio
import json
import operator
import os
import statistics
import sys
import time
import uuid
from collections import Counter
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

DONE: Counter[str] = Counter()


def wanted(results: int, calls: int) -> str | None:
    """The script of every model: the text of the next tool call, or None when it is time to answer."""
    DONE["model"] += 1
    return f"call {results + 1}" if results < calls else None


def worked(text: str) -> str:
    DONE["tool"] += 1
    return text


@asynccontextmanager
async def on_temporal(workflow_class, activities, plugin):
    """As shipped, but outside the workflow sandbox, and with as many pollers as we have: both spare the peer some work."""
    from temporalio.client import Client
    from temporalio.worker import UnsandboxedWorkflowRunner, Worker

    client = await Client.connect(os.environ["PEER_TEMPORAL"], plugins=[plugin])
    queue = f"peer-{uuid.uuid4()}"
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[workflow_class],
        activities=activities,
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_activities=100,
        max_cached_workflows=1000,
        max_concurrent_workflow_task_polls=32,
        max_concurrent_activity_task_polls=32,
    )

    async def run(calls):
        return await client.execute_workflow(
            workflow_class.run, calls, id=f"{queue}-{uuid.uuid4()}", task_queue=queue
        )

    async with worker:
        yield run


@asynccontextmanager
async def pydantic_ai():
    from peer_pydantic_ai import PLUGIN, DurableAgent

    async with on_temporal(DurableAgent, [], PLUGIN) as run:
        yield run


@asynccontextmanager
async def openai_agents():
    from peer_openai_agents import PLUGIN, DurableAgent, echo

    async with on_temporal(DurableAgent, [echo], PLUGIN) as run:
        yield run


@asynccontextmanager
async def langgraph():
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from langgraph.graph import END, START, StateGraph
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool

    class State(TypedDict):
        calls: int
        messages: Annotated[list[str], operator.add]
        next: str | None

    async def model(state):
        return {"next": wanted(len(state["messages"]), state["calls"])}

    async def tool(state):
        return {"messages": [worked(state["next"])]}

    graph = StateGraph(State)
    graph.add_node("model", model)
    graph.add_node("tool", tool)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda state: "tool" if state["next"] else END)
    graph.add_edge("tool", "model")
    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(
        os.environ["PEER_POSTGRES"], min_size=4, max_size=20, open=False, kwargs=settings
    ) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        compiled = graph.compile(checkpointer=saver)

        async def run(calls):
            return await compiled.ainvoke(
                {"calls": calls, "messages": []},
                {"configurable": {"thread_id": str(uuid.uuid4())}, "recursion_limit": 3 * calls + 10},
                durability="sync",
            )

        yield run


@asynccontextmanager
async def dbos():
    from dbos import DBOS

    @DBOS.step()
    async def model(results, calls):
        return wanted(results, calls)

    @DBOS.step()
    async def tool(text):
        return worked(text)

    @DBOS.workflow()
    async def agent(calls):
        messages = []
        while text := await model(len(messages), calls):
            messages.append(await tool(text))
        return len(messages)

    DBOS(config={"name": "peer", "system_database_url": os.environ["PEER_POSTGRES"], "log_level": "ERROR"})
    DBOS.launch()
    try:
        yield agent
    finally:
        DBOS.destroy()


SYSTEMS = {"pydantic-ai": pydantic_ai, "openai-agents": openai_agents, "langgraph": langgraph, "dbos": dbos}


async def measured(run, *, calls, runs, at):
    """Milliseconds a call of the median run; the first runs only warm up."""
    slots, took = asyncio.Semaphore(at), []

    async def one():
        async with slots:
            begun = time.perf_counter()
            await run(calls)
            took.append((time.perf_counter() - begun) * 1000 / calls)

    await asyncio.gather(*(one() for _ in range(min(at, 8))))
    took.clear()
    DONE.clear()
    await asyncio.gather(*(one() for _ in range(runs)))
    if DONE["tool"] != runs * calls or DONE["model"] != runs * (calls + 1):
        raise RuntimeError(f"the work was not done: {dict(DONE)}")
    return statistics.median(took)


async def main(system, calls, *plan):
    found = {}
    async with SYSTEMS[system]() as run:
        for entry in plan:
            at, runs = map(int, entry.split(":"))
            found[at] = await measured(run, calls=int(calls), runs=runs, at=at)
    print(json.dumps(found), flush=True)


def start():
    asyncio.run(main(*sys.argv[1:]))
    sys.stdout.flush()
    os._exit(0)  # native threads of an engine can abort the interpreter on its way out
