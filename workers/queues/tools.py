"""The tools queue: sandboxed calls, under a database role that can touch the ledger and nothing else."""

from collections.abc import Mapping

from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.retention import PostgresRetention
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.tools.builtin import fast_tools, sandboxed_tools
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from workers import pools
from workers.housekeeping import Chore, workspace_chores
from workers.parts import Parts


async def pool(held: Parts) -> pools.Pool:
    database = await held.database("holdfast_tools")
    host = RegistryToolHost(Registry([*fast_tools(), *sandboxed_tools(held.sandbox())]))
    await PostgresTools(database=database).publish(host.specs())
    return pools.tools(
        ledger=PostgresLedger(database=database),
        tools=host,
        artifacts=PostgresArtifacts(database=database),
        worker=held.identity,
    )


async def chores(held: Parts) -> Mapping[str, Chore]:
    database = await held.database("holdfast_tools")
    return workspace_chores(PostgresRetention(database=database), held.sandbox())
