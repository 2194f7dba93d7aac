"""The orchestration queue: runs themselves, verdicts, the fast lane, and what runs recall and teach."""

from collections.abc import Mapping

import httpx

from holdfast.adapters.llm.afterthought import MemoryWithAfterthought
from holdfast.adapters.postgres.agents import PostgresAgents
from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.idempotency import PostgresIdempotency
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.model_routes import PostgresModelRoutes
from holdfast.adapters.postgres.readings import PostgresReadings
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.adapters.postgres.webhooks import PostgresWebhooks
from holdfast.adapters.webhook_sender import WebhookSender
from holdfast.runs import Acceptance
from holdfast.runtime.sealing import webhook_seal
from workers import judging, pools
from workers.housekeeping import Chore, request_chores
from workers.parts import Parts


async def pool(held: Parts) -> pools.Pool:
    database = await held.database()
    runs = PostgresRuns(database=database)
    return pools.orchestration(
        story=runs,
        runs=runs,
        artifacts=PostgresArtifacts(database=database),
        guardian=await judging.guardian(held),
        ledger=PostgresLedger(database=database),
        approvals=PostgresApprovals(database=database),
        fast_tools=await judging.fast_host(held),
        memory=await _memory(held),
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


async def _memory(held: Parts) -> MemoryWithAfterthought:
    """Rules write lessons here; a model, where the llm workers have one, adds its own later."""
    client = await held.client(role="holdfast_app")
    return MemoryWithAfterthought(memory=(await held.shelf()).memory, client=client)


def _sender(held: Parts, database: Database) -> WebhookSender:
    http = httpx.AsyncClient()
    held.closes(http.aclose)
    return WebhookSender(
        webhooks=PostgresWebhooks(database=database, seal=webhook_seal(held.settings)),
        http=http,
        private_targets=held.settings.api.webhook_private_targets,
    )
