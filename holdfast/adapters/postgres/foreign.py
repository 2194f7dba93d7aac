"""Reading from somebody else's Postgres: one statement, in a transaction that cannot write, within a time and a size."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

from holdfast.errors import InvalidInput, Misconfigured, TooLarge, ToolFailed, Unprocessable
from holdfast.tools.builtin.sql import Statement, Table
from schemas.base import JsonObject

_KINDS = {kind.code: kind for kind in (InvalidInput, Misconfigured, TooLarge, ToolFailed, Unprocessable)}
_PROGRAM = "holdfast.adapters.postgres.foreign_reading"


class ForeignPostgres:
    """Fulfils `holdfast.tools.builtin.sql.Queries`. Each statement is a process: see `foreign_reading`."""

    async def read(self, url: str, statement: Statement) -> Table:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", _PROGRAM),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=_surroundings(),
        )
        try:
            asked = json.dumps({"url": url, **statement.model_dump(mode="json")})
            printed, _ = await process.communicate(asked.encode())
        finally:
            _end(process)
        answer = json.loads(printed) if process.returncode == 0 else _ended_early(process)
        if "error" in answer:
            code, said, remedy = answer["error"]
            raise _KINDS[code](said, remedy=remedy)
        return Table.model_validate(answer)


def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()


def _ended_early(process: Process) -> JsonObject:
    said = f"What reads the database ended early ({process.returncode})."
    return {"error": ("tool_failed", said, "Ask for fewer or shorter columns.")}


def _surroundings() -> dict[str, str]:
    """What libpq may want of the worker's environment, and nothing else of it."""
    return {name: value for name, value in os.environ.items() if name == "HOME" or name.startswith("PG")}
