"""The folder of manifests and Python modules, kept in step with a worker while it works.

A file that changes is read, checked and swapped in as a whole; one that is bad is refused with its reason, and what
stood before it still stands. Calls under way keep the tool they have.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import structlog

from holdfast.errors import Conflict, HoldfastError
from holdfast.tools.attic import Attic
from holdfast.tools.declare import Tool
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.manifests import BadManifest, Workshop, read_manifest, tool_of
from holdfast.tools.modules import tools_of_module
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
    async def keep_only(self, kind: Literal["file", "server"], sources: Sequence[str]) -> None: ...


@dataclass
class _File:
    """One file as it was last read, and the tools it stands for now."""

    seen: _Print
    tools: tuple[Tool, ...] = ()
    problem: str = ""


class Shelf:
    def __init__(
        self,
        folder: Path,
        *,
        attic: Path,
        host: RegistryToolHost,
        workshop: Workshop,
        offers: Offers,
        refusals: Refusals,
    ) -> None:
        """`attic` is this worker's own folder: there it keeps what it took in, for runs that pinned it."""
        self._folder = folder
        self._attic = Attic(attic)
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
        if not self._looked:
            self._kept.update(await asyncio.to_thread(self._remembered))
        found = await asyncio.to_thread(_prints, self._folder)
        for name in [name for name in self._files if name not in found]:
            await self._gone(name)
        for name, seen in found.items():
            known = self._files.get(name)
            if known is None or known.seen != seen:
                await self._read(name, seen, known.tools if known else ())
        if not self._looked:  # what went away or went bad while no worker looked
            standing = [tool.spec for file in self._files.values() for tool in file.tools]
            await self._offers.keep_only("manifest", standing)
            await self._refusals.keep_only(
                "file", [name for name, file in self._files.items() if file.problem]
            )
            self._host.offer("manifests", list(self._kept.values()))
            self._looked = True

    async def _read(self, name: str, seen: _Print, before: tuple[Tool, ...]) -> None:
        try:
            text = await asyncio.to_thread((self._folder / name).read_text)
            tools = await asyncio.to_thread(self._made, name, text)
            self._refuse_taken(name, tools)
            await self._offers.publish([tool.spec for tool in tools])
        except (BadManifest, Conflict, OSError, ValueError) as error:
            await self._refused(name, seen, before, error)
            return
        except HoldfastError:
            raise  # the database is away: the file is looked at again
        except Exception as error:
            # The edge to somebody's file: whatever is in it, the others are followed on.
            await self._refused(name, seen, before, error)
            log.exception("tool_file_failed", file=name)
            return
        await asyncio.to_thread(self._attic.keep, name, text)
        self._offer(name, _File(seen, tools))
        now = {tool.spec.key for tool in tools}
        await self._offers.withdraw([tool.spec for tool in before if tool.spec.key not in now])
        await self._refusals.accept(name)
        log.info("tool_file_loaded", file=name, tools=sorted(now))

    def _made(self, name: str, text: str) -> tuple[Tool, ...]:
        if name.endswith(".py"):
            return tools_of_module(name, text)
        return (tool_of(read_manifest(text), self._workshop),)

    def _remembered(self) -> dict[str, Tool]:
        """Tools of files that were replaced or taken away since, where they can still be made."""
        shipped = {spec.key for spec in self._workshop.builtin.specs()}
        found: dict[str, Tool] = {}
        for name, text in self._attic.texts():
            try:
                found |= {tool.spec.key: tool for tool in self._made(name, text)}
            except BadManifest as error:
                log.info("kept_tool_cannot_be_made", file=name, problem=str(error))
        return {key: tool for key, tool in found.items() if key not in shipped}

    async def _refused(self, name: str, seen: _Print, before: tuple[Tool, ...], error: Exception) -> None:
        problem = str(error) if isinstance(error, HoldfastError) else f"It cannot be read: {error}"
        self._files[name] = _File(seen, before, problem)
        await self._refusals.refuse(name, problem)
        log.warning("tool_manifest_refused", file=name, problem=problem)

    async def _gone(self, name: str) -> None:
        """New runs no longer see it; those that started with it can still call it here."""
        file = self._files.pop(name)
        await self._offers.withdraw([tool.spec for tool in file.tools])
        await self._refusals.accept(name)

    def _refuse_taken(self, name: str, tools: tuple[Tool, ...]) -> None:
        shipped = {spec.key for spec in self._workshop.builtin.specs()}
        described = {
            tool.spec.key: other
            for other, file in self._files.items()
            for tool in file.tools
            if other != name
        }
        for key, digest in ((tool.spec.key, tool.spec.digest) for tool in tools):
            if key in shipped:
                raise BadManifest(f"{key} ships with Holdfast; give it another version.")
            if key in described:
                raise BadManifest(f"{key} is described by {described[key]} already.")
            kept = self._kept.get(key)
            if kept is not None and kept.spec.digest != digest:
                raise BadManifest(f"{key} was loaded before with other words; give the change a new version.")

    def _offer(self, name: str, file: _File) -> None:
        self._files[name] = file
        self._kept.update({tool.spec.key: tool for tool in file.tools})
        self._host.offer("manifests", list(self._kept.values()))


def _prints(folder: Path) -> dict[str, _Print]:
    """The tools of a folder, as manifests and modules. A folder that is not there has none."""
    found: dict[str, _Print] = {}
    named = [path for kind in ("*.yaml", "*.yml", "[!_.]*.py") for path in folder.glob(kind)]
    for path in sorted(named)[:_MOST_FILES]:
        try:
            facts = path.stat()
        except OSError:
            continue
        found[path.name] = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
    return found
