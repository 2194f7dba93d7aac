"""A human's decision, as the API makes it: stored with its event in one transaction, and only then a nudge."""

from typing import Any

from psycopg.types.json import Jsonb
from temporalio.client import Client

from holdfast.adapters.postgres.database import Database


async def decide(
    database: Database,
    client: Client,
    run_id: str,
    approval_id: str,
    digest: str,
    *,
    approve: bool,
    comment: str = "",
    arguments: dict[str, Any] | None = None,
    effective: str | None = None,
) -> None:
    """`effective` is the digest of the edited action, where the arguments were edited."""
    decision = "reject" if not approve else "edit" if arguments is not None else "approve"
    async with database.statement() as connection:
        await connection.execute(
            "select * from decide_approval('default', %s, 'user:somebody', %s, %s, %s, %s, %s)",
            (approval_id, decision, digest, effective or digest, comment, Jsonb(arguments)),
        )
    await client.get_workflow_handle(run_id).signal("approval_decided", approval_id)
