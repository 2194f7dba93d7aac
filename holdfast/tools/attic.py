"""The files a worker took in, kept beside it: a run keeps the version it started with, through reloads and restarts."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

log = structlog.get_logger()

_KEPT_S = 90 * 24 * 3600.0
_MOST_FILES = 1_000


class Attic:
    """One file for each text, under its own digest; what was not taken in for 90 days is let go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, name: str, text: str) -> None:
        """Where nothing can be written, versions last as long as the worker, as its log says."""
        stem, dot, kind = name.rpartition(".")
        kept = self._folder / f"{stem}~{hashlib.sha256(text.encode()).hexdigest()[:12]}{dot}{kind}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = kept.with_suffix(".part")
            part.write_text(text)
            part.replace(kept)
        except OSError as error:
            log.warning("tool_versions_not_kept", folder=str(self._folder), why=error.strerror)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Each file's first name and its text, the oldest first: of two that describe one version, the newer holds."""
        found = sorted(self._folder.glob("*~*.*"), key=lambda path: path.stat().st_mtime)
        for path in found[-_MOST_FILES:]:
            if time.time() - path.stat().st_mtime > _KEPT_S:
                path.unlink(missing_ok=True)
            elif path.suffix != ".part":
                stem = path.stem.rpartition("~")[0]
                yield f"{stem}{path.suffix}", path.read_text()
