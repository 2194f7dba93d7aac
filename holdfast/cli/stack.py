"""`holdfast up`, `down` and `status`: the stack on this machine, and what people see of it."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from holdfast.cli.stack_view import StackView, open_view, table_of
from holdfast.embedded.examination import require_namespaces
from holdfast.embedded.lock import FolderLock, unusable
from holdfast.embedded.parts import OURSELVES
from holdfast.embedded.state import StackState, api_key_file, read_state
from holdfast.errors import Conflict, Misconfigured, Unavailable
from holdfast.runtime.configuration import load
from holdfast.runtime.premises import build_of, server_file
from holdfast.runtime.private import write_private
from holdfast.runtime.process import last_words
from holdfast.runtime.settings import Settings

_DETACHED_PATIENCE_S = 90.0


@click.command()
@click.option("--detach", is_flag=True, help="Return once it is ready; stop it with `holdfast down`.")
@click.option("--json", "as_json", is_flag=True, help="With --detach: print its state as JSON.")
def up(*, detach: bool, as_json: bool) -> None:
    """Start the whole stack on this machine: Postgres, Temporal with its Web UI, workers, API.

    What DATABASE_URL or TEMPORAL_ADDRESS names is used, not started. Ctrl-C stops it; the data stays in .holdfast.
    """
    settings = load()
    _refuse_prod(settings)
    _check_keys(settings)
    _check_premises(settings)
    require_namespaces(settings)
    if detach:
        state = _start_detached(settings)
        click.echo(state.model_dump_json() if as_json else _addresses(state, settings))
    else:
        asyncio.run(_serve(settings))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def down(*, as_json: bool) -> None:
    """Stop the stack that runs on this data folder, and wait until all of it has ended."""
    settings = load()
    stopped = stop_stack(settings)
    words = f"Stopped. The data stays in {settings.data_dir}" if stopped else "Nothing is running."
    click.echo(json.dumps({"stopped": stopped}) if as_json else words)


def stop_stack(settings: Settings) -> bool:
    """Returns when all of it has ended; False where nothing ran."""
    lock = FolderLock(settings.data_dir)
    holder = lock.holder()
    if holder is None or not lock.is_held():
        return False
    os.kill(holder, signal.SIGTERM)
    deadline = time.monotonic() + settings.workers.drain_s + settings.api.drain_s + 60
    while lock.is_held():
        if time.monotonic() > deadline:
            raise Unavailable(
                f"Process {holder} does not stop.", remedy=f"End it and its children: kill -9 {holder}"
            )
        time.sleep(0.05)
    return True


@contextmanager
def running_stack(settings: Settings) -> Iterator[tuple[StackState, bool]]:
    """The stack on this data folder, and whether it was started here; one that was is stopped at the end."""
    state = read_state(settings.data_dir)
    if state is not None and state.ready:
        yield state, False
        return
    _refuse_prod(settings)
    try:
        yield _start_detached(settings), True
    finally:
        stop_stack(settings)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show what runs, and where. Exits with 1 unless every part is ready."""
    settings = load()
    state = read_state(settings.data_dir)
    if as_json:
        click.echo(state.model_dump_json(indent=1) if state else '{"ready": false, "parts": []}')
    elif state is None:
        click.echo("Nothing is running. Start it: holdfast up")
    else:
        from rich.console import Console  # noqa: PLC0415 -- for people only

        Console().print(table_of(state))
        click.echo(_addresses(state, settings))
    ctx.exit(0 if state and all(part.status == "ready" for part in state.parts) else 1)


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(wanted, stopping.set)
    with open_view() as view:
        await _until(stopping, settings, view)


async def _until(stopping: asyncio.Event, settings: Settings, view: StackView) -> None:
    from holdfast.embedded.supervisor import Supervisor  # noqa: PLC0415 -- psycopg is slow to import

    supervisor = Supervisor(
        settings, migrate=lambda url: _prepare(url, settings), tell=view.tell, changed=view.show
    )
    starting = asyncio.create_task(supervisor.start())
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        raise click.exceptions.Exit(130)
    starting.result()
    view.tell("stack", "ready\n" + _addresses(supervisor.state, settings))
    await asked
    view.tell("stack", "stopping; workers finish what is under way (Ctrl-C again: at once)")
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(wanted, os._exit, 130)  # the kernel ends every child with us
    await supervisor.stop()
    view.tell("stack", "stopped")


async def _prepare(owner_url: str, settings: Settings) -> None:
    """Migrations, and at the first start of a dev stack the key that secrets are sealed with, and the administrator's."""
    from api.access import first_key  # noqa: PLC0415 -- the API's own imports
    from holdfast.adapters.postgres.database import Database  # noqa: PLC0415
    from holdfast.adapters.postgres.membership import require_roles  # noqa: PLC0415
    from holdfast.adapters.postgres.migrate import FIRST, migrate  # noqa: PLC0415
    from holdfast.runtime.sealing import new_keyring_text, sealing_key_file, webhook_seal  # noqa: PLC0415

    is_new = FIRST in await migrate(owner_url)
    given = settings.database.url
    service_url = given.get_secret_value() if given else owner_url
    await require_roles(service_url, "holdfast_app", "holdfast_tools")
    if not (sealing := sealing_key_file(settings.data_dir)).exists():
        write_private(sealing, new_keyring_text())
    webhook_seal(settings)  # the API would refuse it a second later, and workers without the name of the file
    file = api_key_file(settings.data_dir)
    if not is_new and file.is_file() and file.read_bytes().strip():
        return  # kept from a database before this one, or emptied, it would open nothing
    database = await Database.open(service_url, max_size=1)
    try:
        key = await first_key(database, tenant="default", replace=settings.database.url is None)
        write_private(file, key.token)
    except Conflict:
        return  # somebody else's database, in use: its administrator's key must not end because we came
    finally:
        await database.close()


def _check_keys(settings: Settings) -> None:
    """Before anything is started: every process would refuse them, one after another."""
    if keys := settings.temporal.encryption_keys:
        from holdfast.runtime.encryption import Keyring  # noqa: PLC0415 -- where there are keys alone

        Keyring.parse(keys.get_secret_value())


def _check_premises(settings: Settings) -> None:
    server_file(settings)
    if settings.temporal.deployment:
        build_of(settings.temporal)
    if settings.database.migrate_url and not settings.database.url:
        raise Misconfigured(
            "HOLDFAST_DATABASE__MIGRATE_URL names the owner of a database, and DATABASE_URL names none.",
            remedy="Set DATABASE_URL too, to the login of the application; or neither, to have a database started.",
        )


def _refuse_prod(settings: Settings) -> None:
    if settings.profile == "prod":
        raise Misconfigured(
            "`holdfast up` is for one machine; the prod profile runs its processes apart.",
            remedy="Run `holdfast db migrate`, `holdfast api` and `holdfast worker --queue ...` as services.",
        )


def _start_detached(settings: Settings) -> StackState:
    """In a session of its own, so that it outlives this terminal; its output goes to a log."""
    log = settings.data_dir / "logs" / "supervisor.log"
    with _opened(log) as output:
        process = subprocess.Popen(
            [*OURSELVES, "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return _await_ready(process, settings.data_dir, log)


def _opened(log: Path) -> BinaryIO:
    try:
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return log.open("ab")
    except OSError as error:
        raise unusable(log.parent.parent, error) from error


def _await_ready(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> StackState:
    deadline = time.monotonic() + _DETACHED_PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Misconfigured(last_words(log, lines=1).removeprefix("error: "))
        state = read_state(data_dir)
        if state is not None and state.pid == process.pid and state.ready:
            return state
        time.sleep(0.05)
    process.terminate()
    raise Unavailable("The stack was not ready in time.", remedy=f"See {log}.")


def _addresses(state: StackState, settings: Settings) -> str:
    lines = [f"  API          {state.api_url}"]
    if state.temporal_ui:
        lines.append(f"  Temporal UI  {state.temporal_ui}")
    key = api_key_file(settings.data_dir)
    lines.append(
        f"  API key      in {key}"
        if key.exists()
        else "  API key      the database has one: set HOLDFAST_API_KEY"
    )
    lines.append(f"  Logs         in {settings.data_dir / 'logs'}")
    return "\n".join(lines)
