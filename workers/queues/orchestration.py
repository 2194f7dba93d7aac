"""The orchestration queue: runs themselves, verdicts, and the fast lane."""

import asyncio

import httpx

from holdfast.adapters.guardian import StoredPolicies
from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.brakes import PostgresBrakes
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.policies import PostgresPolicies
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.adapters.postgres.webhooks import PostgresWebhooks
from holdfast.adapters.webhook_sender import WebhookSender
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.shipped import shipped_book
from holdfast.tools.builtin import fast_tools
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from workers import pools
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
        guardian=PolicyGuardian(policies=policies),
        ledger=PostgresLedger(database=database),
        approvals=PostgresApprovals(database=database),
        fast_tools=RegistryToolHost(Registry(fast_tools())),
        deliveries=_sender(held, database),
    )


def _sender(held: Parts, database: Database) -> WebhookSender:
    http = httpx.AsyncClient()
    held.closes(http.aclose)
    return WebhookSender(
        webhooks=PostgresWebhooks(database=database),
        http=http,
        private_targets=held.settings.api.webhook_private_targets,
    )
