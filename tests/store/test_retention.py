"""What ended runs leave behind goes when its time has come, and the ledger stays."""

from datetime import timedelta

import psycopg

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


async def test_calls_plans_and_summaries_of_models_go_and_what_is_under_way_stays(
    database: Database, database_url: str
) -> None:
    ended = await ended_run(database)
    going = RunInput(run_id=new_id("run"), tenant="default", goal="go on", agent=AgentSpec(name="operator"))
    await PostgresRuns(database=database).create(going)
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        for run_id, status in ((ended.id, "settled"), (ended.id, "reserved"), (going.run_id, "settled")):
            await owner.execute(
                "insert into model_calls (id, tenant, run_id, task, deployment, model, status, priced, attempt,"
                " reserved_usd, held_against, decision)"
                " values (%s, 'default', %s, 'plan', 'd', 'm', %s, true, 1, 0, '[]', '{}')",
                (new_id("run"), run_id, status),
            )
        await owner.execute(
            "insert into plan_cache (tenant, space, key, run_id, goal, inputs, plan)"
            " values ('default', 's', 'k', %s, 'end', '{}', '{}')",
            (ended.id,),
        )
        await owner.execute(
            "insert into plan_cache_uses values ('default', %s, %s, 'hit')", (ended.id, going.run_id)
        )
        await owner.execute(
            "insert into observation_summaries values ('default', 'k', %s, 'short')", (ended.id,)
        )
    retention = PostgresRetention(database=database)
    purges = (retention.purge_model_calls, retention.purge_plans, retention.purge_summaries)
    assert [await purge(timedelta(days=1)) for purge in purges] == [0, 0, 0]
    assert [await purge(timedelta(0)) for purge in purges] == [1, 1, 1]
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        kept = await owner.execute("select (select count(*) from model_calls), count(*) from plan_cache_uses")
        assert await kept.fetchone() == (2, 0)
