"""Workflows that were recorded by earlier versions replay on this one, and a changed order of commands is noticed.

`pytest tests/runs tests/replay/test_small_workflows.py --record-histories tests/replay/histories` records
them anew. Old ones stay: they are what somebody has under way.
"""

from collections import Counter
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.runtime.temporal import HoldfastPlugin
from schemas.events import EventType
from schemas.runs import RunInput, RunOutput
from workflows.agent_run import AgentRun
from workflows.ingest import Ingestion
from workflows.scheduled_run import ScheduledRun
from workflows.webhook_delivery import WebhookDelivery

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
WORKFLOWS = [AgentRun, Ingestion, ScheduledRun, WebhookDelivery]


def history(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(file.stem, file.read_text())


def kind_of(recorded: WorkflowHistory) -> str:
    return recorded.events[0].workflow_execution_started_event_attributes.workflow_type.name


def test_there_are_histories_of_every_workflow_and_many_of_runs() -> None:
    kinds = Counter(kind_of(history(file)) for file in HISTORIES)
    assert set(kinds) == {"AgentRun", "Ingestion", "ScheduledRun", "WebhookDelivery"}
    assert kinds["AgentRun"] >= 20


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
async def test_a_recorded_run_replays(file: Path, module_database: Database) -> None:
    plugin = HoldfastPlugin(payloads=PostgresPayloads(module_database))
    await Replayer(workflows=WORKFLOWS, plugins=[plugin]).replay_workflow(history(file))


async def carelessly(run: AgentRun) -> None:
    """One more command at the start."""
    await run._teller.tell(run._teller.event(EventType.RUN_MESSAGE, {"text": "careless"}))


@workflow.defn(name="AgentRun")
class Reordered(AgentRun):
    """What a careless change would be."""

    @workflow.init
    def __init__(self, start: RunInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: RunInput) -> RunOutput:
        await carelessly(self)
        return await super().run(start)


@workflow.defn(name="AgentRun")
class Patched(AgentRun):
    """The same change, made so that runs under way keep to what they began."""

    @workflow.init
    def __init__(self, start: RunInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: RunInput) -> RunOutput:
        if workflow.patched("careless"):
            await carelessly(self)
        return await super().run(start)


async def test_a_changed_order_of_commands_is_noticed_unless_it_is_patched(module_database: Database) -> None:
    plugin = HoldfastPlugin(payloads=PostgresPayloads(module_database))
    begun = next(found for found in map(history, HISTORIES) if kind_of(found) == "AgentRun")
    with pytest.raises(NondeterminismError):
        await Replayer(workflows=[Reordered], plugins=[plugin]).replay_workflow(begun)
    await Replayer(workflows=[Patched], plugins=[plugin]).replay_workflow(begun)
