"""A Python of this suite's own version for those who may not reach this one: another user, and what is in a sandbox.

The packages of this environment are built for one version only, and an interpreter below `/root` is closed to them.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_NAME = f"python{sys.version_info.major}.{sys.version_info.minor}"
_SYSTEM = "/usr/local/bin:/usr/bin"
_NOT_NEEDED = shutil.ignore_patterns(
    "site-packages", "test", "idlelib", "tkinter", "ensurepip", "config-*", "*.opt-*.pyc"
)


@dataclass(frozen=True)
class OpenPython:
    """`program` starts it; what it reads stands below `home`."""

    program: str
    home: str


@contextmanager
def open_python() -> Iterator[OpenPython]:
    """The system's own, or else a copy of this one, gone afterwards. It is below `/tmp`, for `TMPDIR` may be closed too."""
    found = shutil.which(_NAME, path=_SYSTEM)
    if found:
        yield OpenPython(found, "/usr")
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-python-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield _copied(Path(sys.base_prefix), Path(folder))


def _copied(home: Path, to: Path) -> OpenPython:
    shutil.copytree(home / "lib" / _NAME, to / "lib" / _NAME, ignore=_NOT_NEEDED)
    for library in (home / "lib").glob("libpython*.so*"):
        shutil.copy2(library, to / "lib")
    program = to / "bin" / _NAME
    program.parent.mkdir()
    program.write_bytes(_beside_its_library((home / "bin" / _NAME).read_bytes(), home / "lib"))
    program.chmod(0o755)
    return OpenPython(str(program), str(to))


def _beside_its_library(program: bytes, library: Path) -> bytes:
    """It may name its library by the place that is closed. The launcher starts it without environment, so it must say so."""
    named = f"{library}\0".encode()
    return program.replace(named, b"$ORIGIN/../lib".ljust(len(named), b"\0"))
