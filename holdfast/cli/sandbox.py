"""`holdfast sandbox`: try a permission profile, or the sandbox itself, from outside.

Start-up counts here: nothing but click, pydantic and the backend is imported.
"""

import asyncio
import os
import sys
from pathlib import Path

import click
from pydantic import ValidationError

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from schemas.sandbox import Isolation, SandboxHealth, SandboxRequest, SandboxResult, SandboxStatus

_UNUSABLE = 2


@click.group()
def sandbox() -> None:
    """Run programs in the sandbox, and test whether it holds on this machine."""


@sandbox.command("exec")
@click.option(
    "--store", type=click.Path(path_type=Path), envvar="HOLDFAST_SANDBOX_STORE", help="Workspaces live here."
)
def execute(store: Path | None) -> None:
    """Run one request, read as JSON from stdin; write one result as JSON to stdout.

    Exits with 0 whenever a result was written, and with 2 for an unusable request.
    """
    try:
        request = SandboxRequest.model_validate_json(sys.stdin.buffer.read())
    except ValidationError as error:
        click.echo(f"unusable request: {_first_problem(error)}", err=True)
        sys.exit(_UNUSABLE)
    result = asyncio.run(_run_once(request, store or default_store()))
    sys.stdout.buffer.write(result.model_dump_json().encode() + b"\n")
    sys.stdout.buffer.flush()


@sandbox.command()
@click.option(
    "--store", type=click.Path(path_type=Path), envvar="HOLDFAST_SANDBOX_STORE", help="Workspaces live here."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(store: Path | None, *, as_json: bool) -> None:
    """Try every layer of the sandbox on this machine. Exits with 1 when one is missing."""
    health = asyncio.run(_self_test(store or default_store()))
    if as_json:
        click.echo(health.model_dump_json())
    for found in () if as_json else health.checks:
        mark = "ok  " if found.ok else "MISSING" if found.required else "weak"
        click.echo(f"{mark}  {found.name}  {found.detail}".rstrip())
        if found.remedy:
            click.echo(f"      remedy: {found.remedy}")
    sys.exit(0 if health.healthy else 1)


async def _self_test(store: Path) -> SandboxHealth:
    backend = BubblewrapSandbox(store=store)
    try:
        return await backend.self_test()
    finally:
        await backend.close()


class EnvironmentSecrets:
    """Secrets for `exec`, taken from HOLDFAST_SECRET_<NAME> of the operator's own environment."""

    async def secret(self, name: str) -> str | None:
        return os.environ.get(f"HOLDFAST_SECRET_{name.upper().replace('-', '_').replace('.', '_')}")


async def _run_once(request: SandboxRequest, store: Path) -> SandboxResult:
    backend = BubblewrapSandbox(store=store, secrets=EnvironmentSecrets())
    try:
        return await backend.run(request)
    except Exception as error:  # noqa: BLE001 - the process edge: whoever asked gets a result
        said = f"{type(error).__name__}: {error}"
        isolation = Isolation(backend="bubblewrap")
        return SandboxResult(status=SandboxStatus.SANDBOX_ERROR, error=said, isolation=isolation)
    finally:
        await backend.close()


def default_store() -> Path:
    """A directory of this user's own; below /tmp only for a user without a home."""
    if os.geteuid() == 0:
        return Path("/var/lib/holdfast/sandbox")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    nearest = next(path for path in (state, *state.parents) if path.exists())
    if os.access(nearest, os.W_OK) and nearest.stat().st_uid == os.geteuid():
        return state / "holdfast/sandbox"
    return Path(f"/tmp/holdfast-sandbox-{os.geteuid()}")  # noqa: S108 - its ownership is checked before use


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return " ".join(f"{where}: {first['msg']}".lstrip(": ").split())


if __name__ == "__main__":
    sandbox()
