"""The workers of a whole run with models: real ones for every queue, of which a test chooses what they think with."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from temporalio.client import Client

from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.ports import Guardian, Memory, ToolHost
from holdfast.runtime.settings import TemporalSettings, WorkerSettings
from tests.runs.acting import ByName, Forgetful
from workers import pools


def crew(
    database: Database,
    tools: ToolHost,
    *,
    thinks: pools.Pool,
    guardian: Guardian | None = None,
    memory: Memory | None = None,
) -> Sequence[pools.Pool]:
    """A pool for each queue, all in one process; `thinks` is the one of `llm`."""
    runs, ledger = PostgresRuns(database=database), PostgresLedger(database=database)
    artifacts = PostgresArtifacts(database=database)
    return (
        pools.orchestration(
            story=runs,
            runs=runs,
            artifacts=artifacts,
            guardian=guardian or ByName(),
            ledger=ledger,
            approvals=PostgresApprovals(database=database),
            fast_tools=tools,
            memory=memory or Forgetful(),
        ),
        pools.tools(ledger=ledger, tools=tools, artifacts=artifacts, worker="test"),
        thinks,
    )


@asynccontextmanager
async def at_work(
    client: Client, made: Sequence[pools.Pool], *, cached_runs: int = 500
) -> AsyncIterator[None]:
    """Workers that stop with the test. Without cached runs each of their turns replays the run."""
    settings = WorkerSettings(drain_s=0.1, cached_runs=cached_runs)
    async with AsyncExitStack() as stack:
        for pool in made:
            await stack.enter_async_context(
                pool.worker(client, workers=settings, temporal=TemporalSettings())
            )
        yield
