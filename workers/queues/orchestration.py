"""The orchestration queue: runs themselves, verdicts, and the fast lane."""

import asyncio
from collections.abc import Mapping, Sequence

import httpx

from holdfast.adapters.guardian import StoredPolicies
from holdfast.adapters.postgres.agents import PostgresAgents
from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.brakes import PostgresBrakes
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.idempotency import PostgresIdempotency
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.model_routes import PostgresModelRoutes
from holdfast.adapters.postgres.opinions import PostgresOpinions
from holdfast.adapters.postgres.policies import PostgresPolicies
from holdfast.adapters.postgres.readings import PostgresReadings
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.adapters.postgres.todos import PostgresTodos
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.adapters.postgres.webhooks import PostgresWebhooks
from holdfast.adapters.webhook_sender import WebhookSender
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.shipped import shipped_book
from holdfast.runs import Acceptance
from holdfast.runtime.sealing import webhook_seal
from holdfast.tools.builtin import fast_tools
from holdfast.tools.declare import Tool
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from workers import pools
from workers.housekeeping import Chore, request_chores
from workers.parts import Parts


async def pool(held: Parts) -> pools.Pool:
    database = await held.database()
    runs = PostgresRuns(database=database)
    policies = StoredPolicies(
        policies=PostgresPolicies(database=database), brakes=PostgresBrakes(database=database)
    )
    # Reading the command knowledge takes about a second: before the first action, not during it.
    await asyncio.to_thread(shipped_book)
    return pools.orchestration(
        story=runs,
        runs=runs,
        artifacts=PostgresArtifacts(database=database),
        guardian=PolicyGuardian(policies=policies, opinions=PostgresOpinions(database=database)),
        ledger=PostgresLedger(database=database),
        approvals=PostgresApprovals(database=database),
        fast_tools=RegistryToolHost(Registry(await _fast_tools(held, database))),
        deliveries=_sender(held, database),
        acceptance=Acceptance(
            agents=PostgresAgents(database=database),
            catalogues=PostgresTools(database=database),
            bundles=PostgresReadings(database=database),
            models=PostgresModelRoutes(database=database),
        ),
    )


async def chores(held: Parts) -> Mapping[str, Chore]:
    keys = PostgresIdempotency(database=await held.database())
    return request_chores(keys, held.settings.retention)


async def _fast_tools(held: Parts, database: Database) -> Sequence[Tool]:
    shelf = await held.shelf()
    return fast_tools(
        todos=PostgresTodos(database=database),
        library=shelf.library,
        memory=shelf.memory,
    )


def _sender(held: Parts, database: Database) -> WebhookSender:
    http = httpx.AsyncClient()
    held.closes(http.aclose)
    return WebhookSender(
        webhooks=PostgresWebhooks(database=database, seal=webhook_seal(held.settings)),
        http=http,
        private_targets=held.settings.api.webhook_private_targets,
    )
