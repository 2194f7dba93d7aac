"""The two server processes: a worker for task queues, and the HTTP API. Each is a composition root started by name."""

import asyncio
from collections.abc import Awaitable, Callable

import click

from holdfast.errors import Misconfigured
from holdfast.runtime.configuration import load
from holdfast.runtime.exit import heed_sigterm
from holdfast.runtime.settings import Queue, Settings

ALL = "all"


@click.command()
@click.option(
    "--queue",
    "names",
    multiple=True,
    required=True,
    type=click.Choice([*(queue.value for queue in Queue), ALL]),
    help="Task queue to serve; give it several times, or `all`.",
)
def worker(names: tuple[str, ...]) -> None:
    """Serve task queues until SIGTERM, then finish what is under way."""
    heed_sigterm()
    settings = load()
    from workers.main import run  # noqa: PLC0415 -- a second of imports that no other command needs

    asyncio.run(_checked(settings, lambda: run(settings, queues=chosen(names))))


def chosen(names: tuple[str, ...]) -> tuple[Queue, ...]:
    return tuple(queue for queue in Queue if ALL in names or queue.value in names)


@click.command()
def api() -> None:
    """Serve the HTTP API until SIGTERM, then let requests and streams end."""
    heed_sigterm()
    settings = load()
    from api.main import run  # noqa: PLC0415 -- a second of imports that no other command needs

    asyncio.run(_checked(settings, lambda: run(settings)))


async def _checked(settings: Settings, serve: Callable[[], Awaitable[None]]) -> None:
    """Refuse an old schema in one line, before anything polls or listens."""
    from holdfast.adapters.postgres.schema_version import require_current_schema  # noqa: PLC0415 -- slow to import

    if settings.database.url is None:
        raise Misconfigured("There is no database.", remedy="Set DATABASE_URL, or start a stack: holdfast up")
    await require_current_schema(settings.database.url.get_secret_value())
    await serve()
