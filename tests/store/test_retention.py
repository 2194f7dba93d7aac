"""What ended runs leave behind goes when its time has come, and the ledger stays."""

from datetime import timedelta

from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.retention import PostgresRetention
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.ids import new_id
from schemas.agents import AgentSpec
from schemas.runs import Run, RunInput, RunStatus
from schemas.stages import RecordRequest, RunPatch, RunScope


async def ended_run(database: Database, tenant: str = "default") -> Run:
    runs = PostgresRuns(database=database)
    run_input = RunInput(run_id=new_id("run"), tenant=tenant, goal="end", agent=AgentSpec(name="operator"))
    await runs.create(run_input)
    scope = RunScope(tenant=tenant, run_id=run_input.run_id, agent="operator", environment="dev")
    await PostgresArtifacts(database=database).put(scope, b"much", content_type="text/plain")
    await runs.record(RecordRequest(scope=scope, patch=RunPatch(status=RunStatus.SUCCEEDED)))
    return await runs.read(tenant, run_input.run_id)


async def test_old_events_and_artifacts_of_ended_runs_go(database: Database) -> None:
    run = await ended_run(database)
    retention = PostgresRetention(database=database)
    assert await retention.purge_events(timedelta(days=1)) == 0
    assert await retention.purge_artifacts(timedelta(days=1)) == 0
    assert await retention.purge_events(timedelta(0)) == 1
    assert await retention.purge_artifacts(timedelta(0)) == 1
    assert (await PostgresRuns(database=database).read("default", run.id)).status is RunStatus.SUCCEEDED


async def test_the_tools_role_learns_which_runs_ended_and_cannot_purge(
    database: Database, database_url: str
) -> None:
    run = await ended_run(database)
    tools = await Database.open(database_url, role="holdfast_tools", max_size=1)
    try:
        found = await PostgresRetention(database=tools).ended_runs(
            since=timedelta(days=1), until=timedelta(0)
        )
        assert ("default", run.id) in found
    finally:
        await tools.close()
