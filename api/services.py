"""What routes hold: the ports of one process, made once by the lifespan and handed down as typed state."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.access.credentials import Credentials
from api.engine import Engine
from api.schedules import Schedules
from api.shelf import Shelf
from api.streams import Streams
from holdfast.adapters.postgres.access import PostgresKeys, PostgresRoles, PostgresTenants
from holdfast.adapters.postgres.agents import PostgresAgents
from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.audit import PostgresAudit
from holdfast.adapters.postgres.brakes import PostgresBrakes
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.decisions import PostgresDecisions
from holdfast.adapters.postgres.feed import EventFeed
from holdfast.adapters.postgres.idempotency import PostgresIdempotency
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.model_breakers import PostgresBreakers
from holdfast.adapters.postgres.model_routes import PostgresModelRoutes
from holdfast.adapters.postgres.models import PostgresSpend
from holdfast.adapters.postgres.panels import PostgresPanelBook
from holdfast.adapters.postgres.readings import PostgresReadings
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.adapters.postgres.tool_desk import PostgresToolDesk
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.adapters.postgres.webhooks import PostgresWebhooks
from holdfast.guardian.desk import PolicyDesk
from holdfast.runs import Acceptance
from holdfast.runtime.settings import Settings
from schemas.access import Principal

LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class Services:
    settings: Settings
    database: Database
    feed: EventFeed
    engine: Engine
    schedules: Schedules
    shelf: Shelf
    spend: PostgresSpend
    breakers: PostgresBreakers
    model_routes: PostgresModelRoutes
    credentials: Credentials
    acceptance: Acceptance
    streams: Streams
    panels: PostgresPanelBook
    runs: PostgresRuns
    readings: PostgresReadings
    ledger: PostgresLedger
    approvals: PostgresApprovals
    decisions: PostgresDecisions
    tools: PostgresTools
    tool_desk: PostgresToolDesk
    policies: PolicyDesk
    brakes: PostgresBrakes
    artifacts: PostgresArtifacts
    agents: PostgresAgents
    keys: PostgresKeys
    roles: PostgresRoles
    tenants: PostgresTenants
    audit: PostgresAudit
    idempotency: PostgresIdempotency
    webhooks: PostgresWebhooks


def _services(connection: HTTPConnection) -> Services:
    services: Services = connection.state.services
    return services


def _principal(connection: HTTPConnection) -> Principal:
    principal: Principal = connection.state.principal
    return principal


def _operation(connection: HTTPConnection) -> str | None:
    """The name of the work, where an Idempotency-Key came with it."""
    operation: str | None = getattr(connection.state, "operation", None)
    return operation


Held = Annotated[Services, Depends(_services)]
Caller = Annotated[Principal, Depends(_principal)]
Operation = Annotated[str | None, Depends(_operation)]
