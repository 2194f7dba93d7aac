"""Runs that were recorded by earlier versions replay on this one, and a changed order of commands is noticed.

`pytest tests/runs/test_plans.py --record-histories tests/replay/histories` records them anew. Old ones stay: they are
the runs that somebody has under way.
"""

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

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


def history(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(file.stem, file.read_text())


def test_there_are_histories_of_every_shape() -> None:
    assert len(HISTORIES) >= 20


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
async def test_a_recorded_run_replays(file: Path, database: Database) -> None:
    plugin = HoldfastPlugin(payloads=PostgresPayloads(database))
    await Replayer(workflows=[AgentRun], plugins=[plugin]).replay_workflow(history(file))


@workflow.defn(name="AgentRun")
class Reordered(AgentRun):
    """What a careless change would be: one more command at the start."""

    @workflow.init
    def __init__(self, start: RunInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: RunInput) -> RunOutput:
        await self._teller.tell(self._teller.event(EventType.RUN_MESSAGE, {"text": "careless"}))
        return await super().run(start)


async def test_a_changed_order_of_commands_is_noticed(database: Database) -> None:
    plugin = HoldfastPlugin(payloads=PostgresPayloads(database))
    with pytest.raises(NondeterminismError):
        await Replayer(workflows=[Reordered], plugins=[plugin]).replay_workflow(history(HISTORIES[0]))
