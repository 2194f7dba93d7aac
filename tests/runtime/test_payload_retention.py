"""A payload goes when its run and its run's parents have long ended, and Temporal has forgotten it."""

from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from holdfast.adapters.postgres.database import SEARCH_PATH, Database
from holdfast.adapters.postgres.payload_retention import forgotten_by, purge_payloads
from holdfast.ids import new_id
from holdfast.runtime.temporal import HoldfastPlugin, connect
from tests.databases import as_owner
from tests.runtime.flows import Echo, Letter, double

MONTH = timedelta(days=30)


async def add(
    url: str, *, days: int = 60, run: str | None = None, ended: int | None = 60, parent: str | None = None
) -> str:
    """A payload so many days old, of a run that ended so many days ago, or of nobody's."""
    owner = run or new_id("run")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, options=SEARCH_PATH) as connection:
        if not owner.startswith(("activity:", "schedule")):
            await connection.execute(
                "insert into holdfast.runs (tenant, id, goal, agent, agent_version, environment, mode, status, input,"
                " parent, ended_at) values ('default', %s, 'g', 'a', 1, 'dev', 'plan', 'succeeded', '{}', %s,"
                " now() - make_interval(days => %s::int))",
                (owner, parent, ended),
            )
        await connection.execute(
            "insert into holdfast.payloads (key, workflow_id, data, created_at)"
            " values (%s, %s, '', now() - make_interval(days => %s))",
            (f"{owner}/{days}", owner, days),
        )
    return owner


async def kept(database: Database) -> set[str]:
    async with as_owner(database) as connection:
        cursor = await connection.execute("select workflow_id from payloads")
        return {row["workflow_id"] for row in await cursor.fetchall()}


async def everything_is_forgotten(_owner: str) -> bool:
    return True


async def test_only_what_is_settled_goes(database: Database, database_url: str) -> None:
    await add(database_url)
    await add(database_url, run="activity:ingest-1")
    running = await add(database_url, ended=None)
    young = await add(database_url, days=3)
    resumed = await add(database_url, ended=3)
    schedule = await add(database_url, run="schedule-nightly")
    child = await add(database_url, parent=running)
    grandchild = await add(database_url, parent=child)
    assert await purge_payloads(database, everything_is_forgotten, older_than=MONTH) == 2
    assert await kept(database) == {running, young, resumed, schedule, child, grandchild}


async def test_what_temporal_still_knows_stays(
    temporal_address: str, database: Database, database_url: str
) -> None:
    client = await connect(HoldfastPlugin(), address=temporal_address)
    known, queue = new_id("run"), f"runtime-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[Echo], activities=[double]):
        await client.execute_workflow(Echo.run, Letter(text="x"), id=known, task_queue=queue)
    await add(database_url, run=known)
    await add(database_url)
    await add(database_url, run="activity:never-was")
    assert await purge_payloads(database, forgotten_by(client), older_than=MONTH) == 2
    assert await kept(database) == {known}


async def test_a_temporal_that_is_away_deletes_nothing(database: Database, database_url: str) -> None:
    owner = await add(database_url)
    nobody = await Client.connect("127.0.0.1:1", lazy=True)
    with pytest.raises(RuntimeError, match="client connect"):
        await purge_payloads(database, forgotten_by(nobody), older_than=MONTH)
    assert await kept(database) == {owner}
