"""`sys.usage`: what uses the space below a folder, in one bounded walk."""

import asyncio
import heapq
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from holdfast.errors import InvalidInput, NotFound
from holdfast.tools.builtin.host.words import size_text
from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload, Request
from schemas.tools import EffectClass, ToolExample


class UsageQuery(Request):
    path: str = Field(default="/", max_length=4096, description="An absolute folder to look into.")
    depth: int = Field(default=2, ge=1, le=6, description="How many levels of folders to tell apart.")
    limit: int = Field(default=15, ge=1, le=200, description="How many of the largest to name.")


class Sized(Payload):
    path: str
    bytes: int


class Usage(Payload):
    path: str
    total_bytes: int
    files: int
    folders: tuple[Sized, ...]
    largest_files: tuple[Sized, ...]
    complete: bool = Field(description="False where time ran out, or a folder could not be read.")

    def told(self) -> str:
        largest = ", ".join(f"{each.path} {size_text(each.bytes)}" for each in self.folders[:3])
        return f"{size_text(self.total_bytes)} in {self.files} files below {self.path}; largest: {largest}"


@declared(
    "sys.usage",
    effect=EffectClass.READ_ONLY,
    outside=True,
    timeout_s=60,
    examples=(ToolExample(title="What fills /var", arguments={"path": "/var", "depth": 2}),),
)
async def usage(arguments: UsageQuery, context: ToolContext) -> Usage:  # noqa: ARG001
    """Finds what uses the space below a folder, on its own file system: the largest folders and files."""
    if not arguments.path.startswith("/"):
        raise InvalidInput(f"{arguments.path!r} is not an absolute path.", remedy="Begin it with `/`.")
    return await asyncio.to_thread(_Survey(arguments, seconds=20).taken)


@dataclass
class _Survey:
    """One walk, on one file system, within a time."""

    query: UsageQuery
    seconds: float
    complete: bool = True

    def taken(self) -> Usage:
        root = os.path.realpath(self.query.path)
        try:
            facts = Path(root).stat()
        except OSError as error:
            raise NotFound(
                f"{root} cannot be read: {error.strerror}.",
                remedy="sys.disk lists the file systems there are.",
            ) from error
        if not stat.S_ISDIR(facts.st_mode):
            raise InvalidInput(f"{root} is no folder.", remedy="Name the folder it lies in.")
        self._deadline = time.monotonic() + self.seconds
        folders: dict[str, int] = {}
        files: list[tuple[int, str]] = []
        total, count = 0, 0
        base = root.rstrip("/").count("/")
        for size, path in self._files(root, facts.st_dev):
            total, count = total + size, count + 1
            parts = os.path.dirname(path).split("/")  # noqa: PTH120 - a hundred thousand times
            for level in range(base + 1, min(len(parts), base + 1 + self.query.depth)):
                name = "/".join(parts[: level + 1])
                folders[name] = folders.get(name, 0) + size
            heapq.heappushpop(files, (size, path)) if len(files) >= self.query.limit else heapq.heappush(
                files, (size, path)
            )
        largest = heapq.nlargest(self.query.limit, folders.items(), key=lambda item: item[1])
        return Usage(
            path=root,
            total_bytes=total,
            files=count,
            folders=tuple(Sized(path=path, bytes=size) for path, size in largest),
            largest_files=tuple(Sized(path=path, bytes=size) for size, path in sorted(files, reverse=True)),
            complete=self.complete,
        )

    def _files(self, root: str, device: int) -> Iterator[tuple[int, str]]:
        folders = [root]
        while folders:
            if time.monotonic() > self._deadline:
                self.complete = False
                return
            try:
                entries = list(os.scandir(folders.pop()))
            except OSError:
                self.complete = False
                continue
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                    folders.append(entry.path)
                elif stat.S_ISREG(status.st_mode):
                    yield status.st_blocks * 512, entry.path
