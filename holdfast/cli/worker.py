"""The two server processes: a worker for task queues, and the HTTP API. Each is a composition root started by name."""

import asyncio

import click

from holdfast.runtime.configuration import load
from holdfast.runtime.settings import Queue

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
    settings = load()
    from workers.main import run  # noqa: PLC0415 -- a second of imports that no other command needs

    asyncio.run(run(settings, queues=chosen(names)))


def chosen(names: tuple[str, ...]) -> tuple[Queue, ...]:
    return tuple(queue for queue in Queue if ALL in names or queue.value in names)


@click.command()
def api() -> None:
    """Serve the HTTP API until SIGTERM, then let requests and streams end."""
    settings = load()
    from api.main import run  # noqa: PLC0415 -- a second of imports that no other command needs

    asyncio.run(run(settings))
