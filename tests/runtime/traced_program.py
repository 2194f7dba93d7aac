"""Two processes of a traced system: `door` starts a run inside a request's span, `worker` works until told to stop."""

import asyncio
import signal
import sys

from opentelemetry import trace
from temporalio import activity
from temporalio.worker import Worker

from holdfast.runtime import semconv
from holdfast.runtime.exit import leave
from holdfast.runtime.logging import set_up_logging
from holdfast.runtime.telemetry import span, start_telemetry
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.runtime.workers import temporal_runtime
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from holdfast.tools.traced import TracedTools
from schemas.actions import Action
from schemas.stages import RunScope
from tests.runtime.flows import Letter, Waits, log

TOOLS = TracedTools(RegistryToolHost(Registry([calc])))


@activity.defn
async def double(letter: Letter) -> Letter:
    with span("chat", "small-model", {semconv.PROVIDER: "ours", semconv.INPUT_TOKENS: 3}, client=True):
        log.info("model_called", api_key="sk-1234567890abcdef")
    calc_now = Action(
        tenant="acme",
        run_id=activity.info().workflow_id or "",
        step_id="greet",
        attempt=1,
        tool="calc",
        tool_version=calc.spec.version,
        arguments={"expression": "1 + 1"},
        environment="dev",
        agent="operator",
    )
    await TOOLS.call(calc_now, calc.spec, idempotency_key="")
    return letter


async def door(plugin: HoldfastPlugin, address: str, run_id: str) -> None:
    client = await connect(plugin, address=address)
    scope = RunScope(tenant="acme", run_id=run_id, agent="operator", environment="dev")
    letter = Letter(text="hello", scope=scope, step_id="greet")
    with trace.get_tracer("door").start_as_current_span("POST /v1/runs"):
        await client.start_workflow(Waits.run, letter, id=run_id, task_queue=run_id)


async def worker(plugin: HoldfastPlugin, address: str, run_id: str) -> None:
    client = await connect(plugin, address=address, runtime=temporal_runtime())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Worker(client, task_queue=run_id, workflows=[Waits], activities=[double]):
        await stop.wait()


if __name__ == "__main__":
    role, endpoint, address, run_id = sys.argv[1:]
    set_up_logging(service=role)
    telemetry = start_telemetry(service=role, endpoint=endpoint)
    asyncio.run({"door": door, "worker": worker}[role](HoldfastPlugin(tracing=True), address, run_id))
    telemetry.close()
    leave()
