"""The HTTP door, put together: layers outside, routes inside, and a lifespan that makes what they hold."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypedDict

import httpx
from fastapi import Depends, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from temporalio.client import Client

from api import problems
from api.access.credentials import Credentials
from api.access.permissions import Table
from api.access.tokens import TokenReader
from api.audit import Audited
from api.bodies import Bodies
from api.context import Context
from api.crowd import Crowd
from api.door import Door
from api.engine import Engine
from api.idempotency import Idempotency
from api.openapi import Document
from api.parameters import refuse_unknown
from api.routes import (
    agents,
    approvals,
    audit,
    commands,
    consensus,
    docs,
    freezes,
    health,
    ingestion,
    keys,
    mcp,
    memory,
    memory_keeping,
    metrics,
    models,
    policies,
    runbooks,
    runs,
    schedules,
    stories,
    streams,
    tenants,
    tool_desk,
    tools,
    webhooks,
)
from api.schedules import Schedules
from api.services import Services
from api.shelf import Shelf
from api.start import make_good, send_webhooks
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
from holdfast.adapters.postgres.policies import PostgresPolicies
from holdfast.adapters.postgres.policy_records import PostgresPolicyRecords
from holdfast.adapters.postgres.readings import PostgresReadings
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.adapters.postgres.tool_desk import PostgresToolDesk
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.adapters.postgres.webhooks import PostgresWebhooks
from holdfast.errors import HoldfastError, Misconfigured
from holdfast.guardian.desk import PolicyDesk
from holdfast.runs import Acceptance
from holdfast.runtime.sealing import webhook_seal
from holdfast.runtime.settings import Settings
from schemas.models import BreakerRule

ROUTERS = (
    health.router,
    runs.router,
    commands.router,
    stories.router,
    streams.router,
    metrics.router,
    approvals.router,
    agents.router,
    tools.router,
    tool_desk.router,
    policies.router,
    freezes.router,
    keys.router,
    tenants.router,
    ingestion.router,
    runbooks.router,
    memory.router,
    memory_keeping.router,
    models.router,
    consensus.router,
    schedules.router,
    webhooks.router,
    audit.router,
    mcp.router,
)


Connect = Callable[[Database], Awaitable[Client]]
"""Reaches Temporal; the database is for payloads too large for a history."""


class State(TypedDict):
    services: Services


def create_app(settings: Settings, *, connect: Connect) -> FastAPI:
    """The app of one process. `connect` is asked for Temporal when it is first needed."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[State]:
        try:
            async with (
                opened(settings, connect) as services,
                _background(make_good(services), send_webhooks(services)),
            ):
                app.state.services = services
                yield {"services": services}
        except HoldfastError as error:
            app.state.refusal = error  # uvicorn logs it, and ends without it
            raise

    app = FastAPI(
        openapi_url=None,
        title="Holdfast",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=layers(settings, Table()),
        dependencies=[Depends(refuse_unknown)],
        generate_unique_id_function=lambda route: route.name,
    )
    problems.install(app)
    for router in (*ROUTERS, *((docs.router,) if settings.api.docs else ())):
        app.include_router(router)
    app.state.document = Document(app)
    return app


def end_streams(app: FastAPI) -> None:
    """Ask every stream to close, so that its client comes back elsewhere."""
    services: Services | None = getattr(app.state, "services", None)
    if services is not None:
        services.feed.close_followers()


def layers(settings: Settings, table: Table) -> list[Middleware]:
    """From the outside in. Nothing reads a body before it is known whose it is."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(settings.api.cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID"],
        expose_headers=["ETag", "Idempotency-Replayed", "Location", "Retry-After", "X-Request-Id"],
    )
    return [
        # A browser is only shown an error whose answer names its origin.
        *([cors] if settings.api.cors_origins else []),
        Middleware(Context),
        Middleware(GZipMiddleware, minimum_size=1024, compresslevel=5),
        Middleware(Door, table=table),
        Middleware(Crowd, most=settings.api.concurrent_requests),
        Middleware(
            Bodies,
            limit_bytes=settings.api.body_limit_bytes,
            upload_bytes=settings.api.upload_limit_bytes,
        ),
        Middleware(Idempotency),
        Middleware(Audited),
    ]


@asynccontextmanager
async def opened(settings: Settings, connect: Connect) -> AsyncIterator[Services]:
    """Everything the routes hold, closed again in reverse order."""
    if settings.database.url is None:
        raise Misconfigured(
            "No database is set.", remedy="Set DATABASE_URL, or start everything with `holdfast up`."
        )
    if settings.auth.oidc_issuer and not settings.auth.oidc_audience:
        raise Misconfigured(
            "A token issuer is set, and no audience.",
            remedy="Set HOLDFAST_AUTH__OIDC_AUDIENCE: a token made for another service must not open this one.",
        )
    url = settings.database.url.get_secret_value()
    async with AsyncExitStack() as stack:
        database = await Database.open(
            url,
            min_size=settings.database.pool_min,
            max_size=settings.database.pool_max,
            application="holdfast-api",
        )
        stack.push_async_callback(database.close)
        feed = await stack.enter_async_context(EventFeed.open(url))
        http = await stack.enter_async_context(httpx.AsyncClient(follow_redirects=False))
        shelf = Shelf(database=database, settings=settings.knowledge)
        stack.push_async_callback(shelf.close)
        yield _services(settings, database, feed, Engine(connect=lambda: connect(database)), http, shelf)


def _services(
    settings: Settings,
    database: Database,
    feed: EventFeed,
    engine: Engine,
    http: httpx.AsyncClient,
    shelf: Shelf,
) -> Services:
    api_keys, specs = PostgresKeys(database=database), PostgresAgents(database=database)
    stored_runs, readings = PostgresRuns(database=database), PostgresReadings(database=database)
    tools, roles = PostgresTools(database=database), PostgresRoles(database=database)
    auth, api = settings.auth, settings.api
    model_routes = PostgresModelRoutes(database=database)
    return Services(
        settings=settings,
        database=database,
        feed=feed,
        engine=engine,
        schedules=Schedules(engine=engine),
        shelf=shelf,
        spend=PostgresSpend(database=database),
        breakers=PostgresBreakers(database=database, rule=BreakerRule()),
        credentials=Credentials(
            settings=auth,
            keys=api_keys,
            custom=roles,
            tokens=TokenReader(auth, http=http) if auth.oidc_issuer else None,
        ),
        acceptance=Acceptance(agents=specs, catalogues=tools, bundles=readings, models=model_routes),
        model_routes=model_routes,
        streams=Streams(story=readings, feed=feed, most=api.streams, heartbeat_s=api.heartbeat_s),
        panels=PostgresPanelBook(database=database),
        runs=stored_runs,
        readings=readings,
        ledger=PostgresLedger(database=database),
        approvals=PostgresApprovals(database=database),
        decisions=PostgresDecisions(database=database),
        tools=tools,
        tool_desk=PostgresToolDesk(database=database),
        policies=PolicyDesk(
            policies=PostgresPolicies(database=database), records=PostgresPolicyRecords(database=database)
        ),
        brakes=PostgresBrakes(database=database),
        artifacts=PostgresArtifacts(database=database),
        agents=specs,
        keys=api_keys,
        roles=roles,
        tenants=PostgresTenants(database=database),
        audit=PostgresAudit(database=database),
        idempotency=PostgresIdempotency(database=database),
        webhooks=PostgresWebhooks(database=database, seal=webhook_seal(settings)),
    )


@asynccontextmanager
async def _background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
