"""The tools queue: sandboxed calls, under a database role that can touch the ledger and nothing else."""

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import structlog

from holdfast.adapters.mcp.servers import ServerFile
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.foreign import ForeignPostgres
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.retention import PostgresRetention
from holdfast.adapters.postgres.todos import PostgresTodos
from holdfast.adapters.postgres.tool_desk import PostgresToolNotice
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.adapters.sandbox_docker import DockerSandbox
from holdfast.adapters.secrets import SecretFolder
from holdfast.errors import Misconfigured
from holdfast.runtime.premises import server_file
from holdfast.sandbox.port import Sandbox
from holdfast.tools.builtin import fast_tools, sandboxed_tools
from holdfast.tools.builtin.search import Elsewhere
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.manifests import Workshop
from holdfast.tools.registry import Registry
from holdfast.tools.shelf import Shelf
from workers import pools
from workers.housekeeping import Chore, workspace_chores
from workers.parts import Parts

log = structlog.get_logger()


async def pool(held: Parts) -> pools.Pool:
    database = await held.database("holdfast_tools")
    await require_walls(held.sandbox())
    builtin = _builtin(held, database)
    host = RegistryToolHost(builtin)
    await PostgresTools(database=database).publish(builtin.specs())
    await _follow_manifests(held, host, builtin, database)
    await _follow_servers(held, host, database)
    return pools.tools(
        ledger=PostgresLedger(database=database),
        tools=host,
        artifacts=PostgresArtifacts(database=database),
        worker=held.identity,
    )


async def require_walls(sandbox: Sandbox) -> None:
    """A worker that would refuse every call takes none, so that whoever deployed it hears of it first."""
    missing = [check for check in (await sandbox.self_test()).checks if check.required and not check.ok]
    if missing:
        raise Misconfigured(
            "Tools cannot be isolated here. "
            + "; ".join(f"{check.name}: {check.detail}" for check in missing).rstrip(".")
            + ".",
            remedy="; ".join(dict.fromkeys(check.remedy for check in missing if check.remedy)),
        )


def _builtin(held: Parts, database: Database) -> Registry:
    todos, secrets = PostgresTodos(database=database), SecretFolder(_secrets(held))
    return Registry(
        [
            *fast_tools(todos=todos, library=Elsewhere(), memory=Elsewhere()),
            *sandboxed_tools(held.sandbox(), todos=todos, queries=ForeignPostgres(), secrets=secrets),
        ]
    )


async def _follow_manifests(
    held: Parts, host: RegistryToolHost, builtin: Registry, database: Database
) -> None:
    """What lies in the folder is there before the first call; what changes later is taken in meanwhile."""
    shelf = Shelf(
        held.settings.tools.folder or held.settings.data_dir / "tools",
        attic=held.settings.data_dir / "kept-tools",
        host=host,
        workshop=Workshop(builtin=builtin, sandbox=held.sandbox(), container=_containers(held)),
        offers=PostgresTools(database=database),
        refusals=PostgresToolNotice(database=database, worker=held.identity),
    )
    await shelf.look()
    _keep(held, shelf.follow())


async def _follow_servers(held: Parts, host: RegistryToolHost, database: Database) -> None:
    """MCP servers may take long to answer: their tools come when they come."""
    servers = ServerFile(
        server_file(held.settings),
        host=host,
        sandbox=held.sandbox(),
        secrets=SecretFolder(_secrets(held)),
        offers=PostgresTools(database=database),
        refusals=PostgresToolNotice(database=database, worker=held.identity),
        unsandboxed=held.settings.profile != "prod",
    )
    held.closes(servers.close)
    _keep(held, servers.follow())


def _keep(held: Parts, work: Coroutine[Any, Any, None]) -> None:
    """Goes on until the worker stops."""
    task = asyncio.create_task(work)
    task.add_done_callback(_tell_end)

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    held.closes(stop)


def _containers(held: Parts) -> Callable[[str], Sandbox] | None:
    if shutil.which("docker") is None:
        return None
    settings = held.settings
    store = (settings.sandbox.store or settings.data_dir.absolute() / "workspaces") / "containers"
    return lambda image: DockerSandbox(store=store, image=image, runtime=settings.sandbox.docker_runtime)


def _secrets(held: Parts) -> Path:
    return held.settings.tools.secrets or held.settings.data_dir / "secrets"


def _tell_end(task: asyncio.Task[None]) -> None:
    """Following goes on for ever; where it ended, tools no longer change until the worker is started again."""
    if not task.cancelled() and (error := task.exception()):
        log.error("tool_following_ended", error=type(error).__name__, why=str(error)[:500])


async def chores(held: Parts) -> Mapping[str, Chore]:
    database = await held.database("holdfast_tools")
    return workspace_chores(PostgresRetention(database=database), held.sandbox())
