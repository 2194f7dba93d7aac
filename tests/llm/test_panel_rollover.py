"""A panel whose question stays open while its run goes on in a new execution: asked, told and paid once."""

from collections.abc import AsyncIterator

import pytest

from holdfast.embedded.temporal import TUNED, EmbeddedTemporal
from schemas.events import EventType
from schemas.plans import ToolStep
from schemas.runs import RunStatus
from tests.llm.test_panel_runs import Stage, ask, says
from tests.llm.test_panel_runs import stage as stage  # noqa: PLC0414 -- the same stack, on another server


@pytest.fixture(scope="module")
async def temporal_address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A server that asks for a new execution after 60 events instead of 4,096."""
    log = tmp_path_factory.mktemp("impatient") / "temporal.log"
    server = EmbeddedTemporal(log=log, dynamic={**TUNED, "limit.historyCount.suggestContinueAsNew": "60"})
    await server.start()
    yield server.address
    await server.stop()


async def test_an_open_question_is_neither_asked_nor_paid_again(stage: Stage) -> None:
    stage.server.rules += [says("one", "safe"), says("two", "unsafe")]
    steps = [
        ToolStep(
            id=f"c{n}",
            tool="calc",
            arguments={"expression": f"${{steps.c{n - 1}.output.value}} + 1" if n else "1"},
        )
        for n in range(60)
    ]
    handle = await stage.start(ask("one", "two"), *steps)
    await stage.until(handle.id, EventType.APPROVAL_REQUESTED)
    first = handle.first_execution_run_id

    async def rolled_over() -> bool:
        return (await stage.client.get_workflow_handle(handle.id).describe()).run_id != first

    await stage.met(rolled_over)
    await stage.decide(handle.id, comment="safe")
    output = await handle.result()
    assert (output.status, output.answer) == (RunStatus.SUCCEEDED, "safe")
    assert len(stage.server.calls) == 2
    types = [event.type for event in await stage.story(handle.id)]
    assert (types.count(EventType.MODEL_CALLED), types.count(EventType.APPROVAL_REQUESTED)) == (2, 1)
    calls = await stage.layer.spend.calls("default", handle.id)
    assert output.spend_usd == pytest.approx(sum(call.cost_usd or 0 for call in calls), abs=1e-6)
