"""Deletes large payloads that no history names any more. Age alone never decides: a run may wait for months."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DescribeActivityExecutionRequest,
    DescribeWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from holdfast.adapters.postgres.database import Database

_ACTIVITY = "activity:"
_PAGE = 200

Forgotten = Callable[[str], Awaitable[bool]]


async def purge_payloads(database: Database, forgotten: Forgotten, *, older_than: timedelta) -> int:
    """Delete the payloads of owners that are old and that Temporal has forgotten; how many rows went comes back."""
    purged = 0
    async for owners in _old_owners(database, older_than):
        gone = [owner for owner in owners if await forgotten(owner)]
        async with database.statement() as connection:
            cursor = await connection.execute("select purge_payloads(%s) as purged", (gone,))
            row = await cursor.fetchone()
            purged += row["purged"] if row else 0
    return purged


def forgotten_by(client: Client) -> Forgotten:
    """Whether Temporal has no history of this owner left. Any doubt is an error, and then nothing is deleted."""

    async def forgotten(owner: str) -> bool:
        try:
            await _describe(client, owner)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return True
            raise
        return False

    return forgotten


async def _describe(client: Client, owner: str) -> None:
    service = client.workflow_service
    if owner.startswith(_ACTIVITY):
        await service.describe_activity_execution(
            DescribeActivityExecutionRequest(
                namespace=client.namespace, activity_id=owner.removeprefix(_ACTIVITY)
            )
        )
    else:
        await service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(
                namespace=client.namespace, execution=WorkflowExecution(workflow_id=owner)
            )
        )


async def _old_owners(database: Database, older_than: timedelta) -> AsyncIterator[list[str]]:
    after = ""
    while True:
        async with database.statement() as connection:
            cursor = await connection.execute(
                "select owner from payload_owners(%s, %s, %s)", (older_than, after, _PAGE)
            )
            owners = [row["owner"] for row in await cursor.fetchall()]
        if not owners:
            return
        yield owners
        after = owners[-1]
