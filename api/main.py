"""The API's process: settings in, a server until SIGTERM, streams and requests drained."""

from temporalio.client import Client

from api.app import create_app, end_streams
from api.server import Server, server_config
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.errors import Unavailable
from holdfast.runtime.encryption import Keyring
from holdfast.runtime.logging import set_up_logging
from holdfast.runtime.settings import Settings
from holdfast.runtime.telemetry import start_telemetry
from holdfast.runtime.temporal import HoldfastPlugin, connect


async def run(settings: Settings) -> None:
    set_up_logging(
        service="api",
        level=settings.telemetry.log_level.upper(),
        pretty={"auto": None, "json": False, "pretty": True}[settings.telemetry.log_format],
    )
    telemetry = start_telemetry(service="api", endpoint=settings.telemetry.otlp_endpoint)

    async def temporal(database: Database) -> Client:
        return await connect(_plugin(settings, database, tracing=bool(telemetry)), identity="holdfast-api")

    app = create_app(settings, connect=temporal)
    server = Server(server_config(app, settings.api), end_streams=lambda: end_streams(app))
    try:
        await server.serve()
    except SystemExit:  # how uvicorn ends where the app does not start
        raise getattr(app.state, "refusal", None) or Unavailable(
            "The API did not start.", remedy="The lines above say why."
        ) from None
    finally:
        telemetry.close()


def _plugin(settings: Settings, database: Database, *, tracing: bool) -> HoldfastPlugin:
    keys = settings.temporal.encryption_keys
    return HoldfastPlugin(
        payloads=PostgresPayloads(database),
        keyring=Keyring.parse(keys.get_secret_value()) if keys else None,
        inline_bytes=settings.temporal.inline_bytes,
        tracing=tracing,
    )
