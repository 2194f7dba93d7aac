"""Who judges in a process, and which tools are called where they are judged: the same for runs and for the moves of models."""

import asyncio

from holdfast.adapters.guardian import StoredPolicies
from holdfast.adapters.postgres.brakes import PostgresBrakes
from holdfast.adapters.postgres.opinions import PostgresOpinions
from holdfast.adapters.postgres.policies import PostgresPolicies
from holdfast.adapters.postgres.todos import PostgresTodos
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.shipped import shipped_book
from holdfast.tools.builtin import fast_tools
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from workers.parts import Parts


async def guardian(held: Parts) -> PolicyGuardian:
    database = await held.database()
    policies = StoredPolicies(
        policies=PostgresPolicies(database=database), brakes=PostgresBrakes(database=database)
    )
    # Reading the command knowledge takes about a second: before the first action, not during it.
    await asyncio.to_thread(shipped_book)
    return PolicyGuardian(policies=policies, opinions=PostgresOpinions(database=database))


async def fast_host(held: Parts) -> RegistryToolHost:
    shelf = await held.shelf()
    todos = PostgresTodos(database=await held.database())
    return RegistryToolHost(Registry(fast_tools(todos=todos, library=shelf.library, memory=shelf.memory)))
