"""What `holdfast sandbox` does: one request in, one result out; or every layer tried, and told.

Nothing but click, pydantic and the backend is imported.
"""

import asyncio
import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import NoReturn

import click
from pydantic import ValidationError

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from schemas.sandbox import Isolation, SandboxHealth, SandboxRequest, SandboxResult, SandboxStatus

_UNUSABLE = 2
_NOT_WRITTEN = 1
_MOST_REQUEST = 256 * 1024 * 1024
_MOST_SAID = 300


def execute_once(store: Path | None) -> None:
    """Writes a result whatever happens, but for a request that cannot be used."""
    request = _request_from_stdin()
    try:
        result = asyncio.run(_run_once(request, store or default_store()))
    except Exception as error:  # noqa: BLE001 - the process edge: whoever asked gets a result
        said = f"{type(error).__name__}: {error}"
        isolation = Isolation(backend="bubblewrap")
        result = SandboxResult(status=SandboxStatus.SANDBOX_ERROR, error=said, isolation=isolation)
    try:
        sys.stdout.buffer.write(result.model_dump_json().encode() + b"\n")
        sys.stdout.buffer.flush()
    except OSError as error:
        _leave(f"the result could not be written: {error.strerror}", _NOT_WRITTEN)


def _request_from_stdin() -> SandboxRequest:
    """Ends the process where there is none to be had, or nowhere to tell its result."""
    if sys.stdin is None or sys.stdout is None:  # closed by whoever started us
        _leave("unusable request: standard input and standard output must be open", _UNUSABLE)
    try:
        text = sys.stdin.buffer.read(_MOST_REQUEST + 1)
        if len(text) > _MOST_REQUEST:
            _leave(f"unusable request: it is larger than {_MOST_REQUEST} bytes", _UNUSABLE)
        return SandboxRequest.model_validate_json(text)
    except ValidationError as error:
        _leave(f"unusable request: {_first_problem(error)}", _UNUSABLE)
    except OSError as error:
        _leave(f"unusable request: standard input cannot be read: {error.strerror}", _UNUSABLE)


def _leave(line: str, code: int) -> NoReturn:
    click.echo(line, err=True)
    os._exit(code)  # a stream that could not be written would complain once more on the way out


def check_layers(store: Path | None, *, as_json: bool) -> None:
    """Ends the process with 1 where a required layer is missing."""
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
    backend = BubblewrapSandbox(store=store, secrets=EnvironmentSecrets(), one_call=True)
    try:
        return await backend.run(request)
    finally:
        await backend.close()


def default_store() -> Path:
    """A directory of this user's own; below /tmp only for a user without a home."""
    homes = [Path("/var/lib")] if os.geteuid() == 0 else []
    with contextlib.suppress(RuntimeError):  # neither HOME nor an entry for this uid
        homes.append(Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"))
    ours = next((home for home in homes if home.is_absolute() and _can_be_ours(home)), None)
    return ours / "holdfast/sandbox" if ours else Path(f"/tmp/holdfast-sandbox-{os.geteuid()}")  # noqa: S108 - its ownership is checked before use


def _can_be_ours(directory: Path) -> bool:
    """Whether what already stands of it belongs to this user, so that the rest can be made."""
    for place in (directory, *directory.parents):
        try:
            facts = place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return False
        return (
            stat.S_ISDIR(facts.st_mode)
            and facts.st_uid == os.geteuid()
            and os.access(place, os.W_OK | os.X_OK)
        )
    return False


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    said = " ".join(f"{where}: {first['msg']}".lstrip(": ").split())
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in said)[:_MOST_SAID]
