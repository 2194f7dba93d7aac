"""The data folder of the embedded Postgres: made once, known by its version, and how to begin anew without it."""

import secrets
import shutil
from pathlib import Path
from shlex import quote as quoted

from holdfast.embedded.binaries import as_somebody, clean_environment, program
from holdfast.errors import Misconfigured
from holdfast.runtime.private import write_private
from holdfast.runtime.process import Child, last_words

OWNER = "holdfast"
MAJOR = "18"

_INITDB = (
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--auth-local=trust",
    "--auth-host=scram-sha-256",
    "--no-instructions",
)


async def require_cluster(folder: Path, *, log: Path) -> None:
    """Made in a folder beside and then renamed: an interrupted first start leaves nothing half-made."""
    data = folder / "data"
    if data.exists():
        _check_version(folder, data / "PG_VERSION")
        return
    fresh = folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    secret = folder / "password"
    write_private(secret, secrets.token_urlsafe(24))
    options = ("-D", str(fresh), "-U", OWNER, "--pwfile", str(secret), *_INITDB)
    made = await Child.start(
        [*as_somebody(None), program("initdb"), *options], log=log, env=clean_environment()
    )
    if await made.wait_or_kill() != 0:
        raise Misconfigured(
            f"A database could not be created in {folder}: {last_words(log)}",
            remedy="Check that the folder is writable and the disk is not full.",
        )
    fresh.rename(data)


def _check_version(folder: Path, file: Path) -> None:
    version = file.read_text().strip() if file.exists() else ""
    if version == MAJOR:
        return
    found = f"was written by Postgres {version}" if version else "is not a Postgres data folder"
    raise Misconfigured(
        f"{folder / 'data'} {found}; this is Postgres {MAJOR}.",
        remedy=begin_anew(folder, folder.with_name("temporal")),
    )


def forget_dead_server(pid_file: Path) -> None:
    """Postgres refuses to start while *any* process has the number of its killed predecessor.

    In a restarted container some process soon has. Nobody serves this folder, for the caller holds its lock.
    """
    first_line = pid_file.read_text().partition("\n")[0] if pid_file.exists() else ""
    if not first_line.isdecimal():
        return
    try:
        command = Path(f"/proc/{first_line}/cmdline").read_bytes()
    except OSError:
        return
    if b"postgres" not in command:
        pid_file.unlink()


def begin_anew(postgres: Path, temporal: Path) -> str:
    """Runs stand in both databases: one without the other tells of runs that the other does not know."""
    moves = (f"mv {quoted(str(each))} {quoted(f'{each}.old')}" for each in (postgres, temporal))
    return f"To begin anew, move both databases away: {'; '.join(moves)}"
