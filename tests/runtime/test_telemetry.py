"""One trace, and one context for every log line, over two workers and the pause between them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry import trace
from temporalio.client import WorkflowHandle

from holdfast.errors import Forbidden
from holdfast.runtime import semconv
from holdfast.runtime.telemetry import span, start_telemetry
from holdfast.runtime.temporal import HoldfastPlugin, connect
from tests.runtime.collector import Collector, collector
from tests.runtime.flows import Waits

PROGRAM = str(Path(__file__).with_name("traced_program.py"))


@asynccontextmanager
async def process(role: str, *arguments: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Runs until the block ends (a worker) or by itself (the door); its log lines come back."""
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        PROGRAM,
        role,
        *arguments,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    lines: list[dict[str, Any]] = []
    yield lines
    if role == "worker":
        started.terminate()
    _, errors = await started.communicate()
    assert started.returncode == 0, errors.decode()
    written = [json.loads(line) for line in errors.decode().splitlines()]
    lines += [line for line in written if not line["logger"].startswith("temporalio.")]


async def test_one_trace_outlives_a_pause_and_the_worker_before_it(temporal_address: str) -> None:
    run_id = f"run_{uuid4().hex}"
    client = await connect(HoldfastPlugin(), address=temporal_address)
    with collector() as found:
        where = (f"http://127.0.0.1:{found.port}", temporal_address, run_id)
        handle = client.get_workflow_handle_for(Waits.run, run_id)
        async with process("worker", *where) as before:
            async with process("door", *where):
                pass
            await paused(handle)
        async with process("worker", *where) as after:
            await handle.execute_update(Waits.answer, "yes")
            assert await handle.result() == "yes"
    assert found.paths == {"/v1/traces"}
    check_trace(found, run_id)
    check_logs(before, after, run_id)


async def paused(handle: WorkflowHandle[Waits, str]) -> None:
    """The activity has run, and the workflow has nothing more to do."""
    worked = False
    async for event in handle.fetch_history_events(wait_new_event=True):
        worked = worked or event.HasField("activity_task_completed_event_attributes")
        if worked and event.HasField("workflow_task_completed_event_attributes"):
            return


def check_trace(found: Collector, run_id: str) -> None:
    assert len({one.trace_id for _, one in found.spans}) == 1
    assert len({instance for instance, _ in found.spans}) == 3
    names = sorted(one.name for _, one in found.spans)
    twice = ["chat small-model", "double", "execute_tool calc"]
    assert names == sorted(["POST /v1/runs", *twice, *twice])
    root = next(one for _, one in found.spans if one.name == "POST /v1/runs")
    stages = [one for _, one in found.spans if one.name == "double"]
    assert {stage.parent_span_id for stage in stages} == {root.span_id}
    calls = [one for _, one in found.spans if one.name == "execute_tool calc"]
    assert {call.parent_span_id for call in calls} == {stage.span_id for stage in stages}
    of_a_call = {item.key: item.value.string_value for item in calls[0].attributes}
    assert (of_a_call[semconv.TOOL_NAME], of_a_call[semconv.STEP_ID]) == ("calc", "greet")
    assert of_a_call[semconv.TOOL_CALL_ID].startswith("sha256:")
    told = {item.key: item.value.string_value for item in stages[0].attributes}
    assert (told[semconv.RUN_ID], told[semconv.TENANT], told[semconv.STEP_ID]) == (run_id, "acme", "greet")


def check_logs(before: list[dict[str, Any]], after: list[dict[str, Any]], run_id: str) -> None:
    assert [line["event"] for line in before] == ["wait_started", "model_called"]
    assert [line["event"] for line in after] == [
        "answer_taken",
        "model_called",
    ]  # what is replayed is not told again
    for line in before + after:
        assert (line["run_id"], line["service"], line["level"]) == (run_id, "worker", "info")
    called = [line for line in before + after if line["event"] == "model_called"]
    assert {(line["tenant"], line["step_id"], line["activity"]) for line in called} == {
        ("acme", "greet", "double")
    }
    assert len({line["trace_id"] for line in [*called, before[0]]}) == 1
    assert {line["api_key"] for line in called} == {"[redacted]"}


def test_without_an_endpoint_nothing_is_traced() -> None:
    telemetry = start_telemetry(service="test", endpoint=None)
    assert not telemetry
    with span("chat", "model"):
        assert not trace.get_current_span().is_recording()
    telemetry.close()


def test_an_error_passes_through_a_span_untouched() -> None:
    with pytest.raises(Forbidden), span("execute_tool", "shell.run"):
        raise Forbidden
