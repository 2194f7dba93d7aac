"""The folder of manifests, kept in step with a worker while it works.

A file that changes is read, checked and swapped in as a whole; one that is bad is refused with its reason, and what
stood before it still stands. Calls under way keep the tool they have.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from holdfast.errors import Conflict, HoldfastError
from holdfast.tools.declare import Tool
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.manifests import BadManifest, Workshop, read_manifest, tool_of
from schemas.tools import ToolSpec

log = structlog.get_logger()

_Print = tuple[int, int, int]
_MOST_FILES = 1_000


class Offers(Protocol):
    """Where is told what a worker offers. A published version never changes."""

    async def publish(self, specs: Sequence[ToolSpec]) -> None: ...
    async def withdraw(self, specs: Sequence[ToolSpec]) -> None: ...
    async def keep_only(self, source: str, specs: Sequence[ToolSpec]) -> None: ...


class Refusals(Protocol):
    """Where is told what it refused, until it is mended or gone."""

    async def refuse(self, source: str, problem: str) -> None: ...
    async def accept(self, source: str) -> None: ...


@dataclass
class _File:
    """One manifest as it was last read, and the tool it stands for now."""

    seen: _Print
    tool: Tool | None = None
    problem: str = ""


class Shelf:
    def __init__(
        self, folder: Path, *, host: RegistryToolHost, workshop: Workshop, offers: Offers, refusals: Refusals
    ) -> None:
        self._folder = folder
        self._host = host
        self._workshop = workshop
        self._offers = offers
        self._refusals = refusals
        self._files: dict[str, _File] = {}
        self._kept: dict[str, Tool] = {}
        self._looked = False

    async def follow(self, *, every_s: float = 1.0) -> None:
        """Look at the folder again and again. A database that is away is asked again at the next look."""
        while True:
            try:
                await self.look()
            except HoldfastError as error:
                log.warning("tool_folder_waits", why=error.code)
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Take in what changed since the last look."""
        found = await asyncio.to_thread(_prints, self._folder)
        for name in [name for name in self._files if name not in found]:
            await self._gone(name)
        for name, seen in found.items():
            known = self._files.get(name)
            if known is None or known.seen != seen:
                await self._read(name, seen, known.tool if known else None)
        if not self._looked:  # what went away or went bad while no worker looked
            standing = [file.tool.spec for file in self._files.values() if file.tool is not None]
            await self._offers.keep_only("manifest", standing)
            self._looked = True

    async def _read(self, name: str, seen: _Print, before: Tool | None) -> None:
        try:
            text = await asyncio.to_thread((self._folder / name).read_text)
            tool = tool_of(read_manifest(text), self._workshop)
            self._refuse_taken(name, tool)
            await self._offers.publish([tool.spec])
        except (BadManifest, Conflict, OSError, UnicodeDecodeError) as error:
            await self._refused(name, seen, before, error)
            return
        self._offer(name, _File(seen, tool))
        if before and before.spec.key != tool.spec.key:
            await self._offers.withdraw([before.spec])
        await self._refusals.accept(name)
        log.info("tool_manifest_loaded", file=name, tool=tool.spec.key)

    async def _refused(self, name: str, seen: _Print, before: Tool | None, error: Exception) -> None:
        problem = str(error) if isinstance(error, HoldfastError) else f"It cannot be read: {error}"
        self._files[name] = _File(seen, before, problem)
        await self._refusals.refuse(name, problem)
        log.warning("tool_manifest_refused", file=name, problem=problem)

    async def _gone(self, name: str) -> None:
        """New runs no longer see it; those that started with it can still call it here."""
        file = self._files.pop(name)
        if file.tool is not None:
            await self._offers.withdraw([file.tool.spec])
        await self._refusals.accept(name)

    def _refuse_taken(self, name: str, tool: Tool) -> None:
        key = tool.spec.key
        if any(spec.key == key for spec in self._workshop.builtin.specs()):
            raise BadManifest(f"{key} ships with Holdfast; give it another version.")
        for other, file in self._files.items():
            if other != name and file.tool is not None and file.tool.spec.key == key:
                raise BadManifest(f"{key} is described by {other} already.")
        kept = self._kept.get(key)
        if kept is not None and kept.spec.digest != tool.spec.digest:
            raise BadManifest(f"{key} was loaded before with other words; give the change a new version.")

    def _offer(self, name: str, file: _File) -> None:
        self._files[name] = file
        if file.tool is not None:
            self._kept[file.tool.spec.key] = file.tool
        self._host.offer("manifests", list(self._kept.values()))


def _prints(folder: Path) -> dict[str, _Print]:
    """The manifests of a folder. A folder that is not there has none."""
    found: dict[str, _Print] = {}
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])[:_MOST_FILES]:
        try:
            facts = path.stat()
        except OSError:
            continue
        found[path.name] = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
    return found
