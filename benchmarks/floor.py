"""What the shape of a governed step costs by itself: Temporal's tasks and Postgres' commits, in which nothing is decided,
done or told. What stands between this and our lanes is ours; nothing that we write can go below it.
"""

from contextlib import AsyncExitStack
from datetime import timedelta

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

from holdfast.ids import new_id

STEPS_QUEUE = "floor"
THINKING_QUEUE = "floor-thinking"
DOING_QUEUE = "floor-doing"
POLLS = 32
"""As many as our workers have; everything bare is given the same."""


class Commits:
    """Transactions of one row each, that wait for the disk as the ledger's do."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection]) -> None:
        self._pool = pool

    @activity.defn
    async def verdict(self, number: int) -> int:
        await self._commit()
        return number

    @activity.defn
    async def call(self, number: int) -> int:
        await self._commit()
        await self._commit()
        return number

    async def _commit(self) -> None:
        async with self._pool.connection() as connection:
            await connection.execute("insert into floor default values")


@workflow.defn
class Floor:
    """A step: the verdict as a local activity, the call as one elsewhere. A move: the verdict comes from a queue too."""

    @workflow.run
    async def run(self, steps: int, verdicts_from: str | None) -> None:
        patience = timedelta(seconds=60)
        for number in range(steps):
            if verdicts_from:
                await workflow.execute_activity_method(
                    Commits.verdict, number, task_queue=verdicts_from, start_to_close_timeout=patience
                )
            else:
                await workflow.execute_local_activity_method(
                    Commits.verdict, number, start_to_close_timeout=patience
                )
            await workflow.execute_activity_method(
                Commits.call, number, task_queue=DOING_QUEUE, start_to_close_timeout=patience
            )


async def prepare(stack: AsyncExitStack, *, client: Client, database_url: str) -> None:
    pool = AsyncConnectionPool(database_url, max_size=20, open=False, kwargs={"autocommit": True})
    await stack.enter_async_context(pool)
    async with pool.connection() as connection:
        await connection.execute("create table floor (at timestamptz default now())")
    commits = Commits(pool)
    for queue, workflows in ((STEPS_QUEUE, [Floor]), (THINKING_QUEUE, []), (DOING_QUEUE, [])):
        worker = Worker(
            client,
            task_queue=queue,
            workflows=workflows,
            activities=[commits.verdict, commits.call],
            max_concurrent_activity_task_polls=POLLS,
            max_concurrent_workflow_task_polls=POLLS,
        )
        await stack.enter_async_context(worker)


async def step_by_step(client: Client, steps: int) -> None:
    await _run(client, steps, None)


async def move_by_move(client: Client, moves: int) -> None:
    await _run(client, moves, THINKING_QUEUE)


async def _run(client: Client, steps: int, verdicts_from: str | None) -> None:
    await client.execute_workflow(
        Floor.run, args=[steps, verdicts_from], id=new_id("floor"), task_queue=STEPS_QUEUE
    )
