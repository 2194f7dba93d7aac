"""`sys.processes`: who uses memory and processor time."""

import asyncio
import heapq
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from holdfast.tools.builtin.host.words import size_text
from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload, Request
from schemas.tools import EffectClass, ToolExample


class ProcessQuery(Request):
    limit: int = Field(default=15, ge=1, le=500)
    sort: Literal["memory", "cpu"] = Field(default="memory", description="What the largest users use.")


class Process(Payload):
    pid: int
    name: str
    user_id: int
    state: str
    memory_bytes: int
    cpu_s: float
    threads: int


class Processes(Payload):
    count: int
    processes: tuple[Process, ...]

    def told(self) -> str:
        first = ", ".join(f"{each.name} {size_text(each.memory_bytes)}" for each in self.processes[:3])
        return f"{self.count} processes; first: {first}"


@declared(
    "sys.processes",
    version="1.0.1",
    effect=EffectClass.READ_ONLY,
    timeout_s=20,
    outside=True,
    examples=(ToolExample(title="What is busiest", arguments={"sort": "cpu", "limit": 5}),),
)
async def processes(arguments: ProcessQuery, context: ToolContext) -> Processes:  # noqa: ARG001
    """Lists the processes that use most memory or processor time. Command lines are left out: they hold secrets."""
    found = await asyncio.to_thread(lambda: list(_processes()))
    key = (lambda p: p.memory_bytes) if arguments.sort == "memory" else (lambda p: p.cpu_s)
    return Processes(count=len(found), processes=tuple(heapq.nlargest(arguments.limit, found, key=key)))


def _processes() -> Iterator[Process]:
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text, owner = (folder / "stat").read_text(errors="replace"), folder.stat().st_uid
        except OSError:
            continue
        name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
        yield Process(
            pid=int(folder.name),
            name=name,
            user_id=owner,
            state=fields[0],
            memory_bytes=int(fields[21]) * page,
            cpu_s=round((int(fields[11]) + int(fields[12])) / ticks, 2),
            threads=int(fields[17]),
        )
