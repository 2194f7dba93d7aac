"""Runs and their story: the row, the events, and what the API asks of both."""

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from holdfast.adapters.postgres.database import Database
from holdfast.errors import NotFound
from schemas.base import JsonObject
from schemas.events import EventType, NewEvent, RunEvent
from schemas.runs import Run, RunInput, RunStatus
from schemas.stages import RecordRequest, RunPatch


class PostgresRuns:
    """Fulfils the ports `Runs` and `Story`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def create(self, run_input: RunInput, *, forked_from: str | None = None) -> Run:
        """The row and its first event, in one transaction. A second call with the same id answers the same."""
        created = {"key": "created", "type": EventType.RUN_CREATED, "data": _created_data(run_input)}
        row = await self._database.call(
            b"select create_run(%s, %s, %s, %s) as run",
            run_input.tenant,
            Jsonb(_row(run_input, forked_from)),
            Jsonb(run_input, dumps=RunInput.model_dump_json),
            Jsonb([created]),
        )
        return _run(row, run_input.run_id)

    async def discard(self, tenant: str, run_id: str) -> None:
        """Take back a run whose workflow could not be started; one that has started stays."""
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "delete from runs where id = %s and status = %s and started_at is null",
                (run_id, RunStatus.QUEUED),
            )

    async def read(self, tenant: str, run_id: str) -> Run:
        async with self._database.statement() as connection:
            cursor = await connection.execute("select told_run(%s, %s) as run", (tenant, run_id))
            return _run(await cursor.fetchone(), run_id)

    async def start_input(self, tenant: str, run_id: str) -> RunInput:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("select input from runs where id = %s", (run_id,))
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"There is no run {run_id}.", run_id=run_id)
        return RunInput.model_validate(row["input"])

    async def change_input(self, tenant: str, run_id: str, changes: JsonObject) -> None:
        """Let later executions of the run, and forks of it, start with these fields of its input."""
        await self._database.call(b"select change_input(%s, %s, %s)", tenant, run_id, Jsonb(changes))

    async def unstarted(self, *, older_than_s: float) -> Sequence[tuple[str, str]]:
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select tenant, run_id from unstarted_runs(make_interval(secs => %s))", (older_than_s,)
            )
            return [(row["tenant"], row["run_id"]) for row in await cursor.fetchall()]

    async def open_runs(self, *, after: str, page: int) -> Sequence[tuple[str, str]]:
        """Of every tenant, by id: the runs that go on, as far as their rows know."""
        async with self._database.statement() as connection:
            cursor = await connection.execute("select tenant, run_id from open_runs(%s, %s)", (after, page))
            return [(row["tenant"], row["run_id"]) for row in await cursor.fetchall()]

    async def children_under_way(self, tenant: str, run_id: str) -> Sequence[str]:
        """The runs that this one handed steps to, and that go on."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select id from runs where parent = %s and not (status = any(%s)) order by id",
                (run_id, [status.value for status in RunStatus if status.ended]),
            )
            return [row["id"] for row in await cursor.fetchall()]

    async def end_lost(self, run: Run, patch: RunPatch, told: NewEvent) -> bool:
        """The end of a run that cannot say it itself; not where it has said anything since it was read."""
        row = await self._database.call(
            b"select end_lost_run(%s, %s, %s, %s, %s) as ended",
            *_seen(run),
            _patch(patch),
            events_json([told]),
        )
        return bool(row["ended"])

    async def take_up(self, run: Run, *, by: str) -> None:
        """The run is under way again; where its new execution was quicker to say so, nothing is left to say."""
        patch = RunPatch(status=RunStatus.RUNNING, reason="")
        data = {"status": RunStatus.RUNNING, "reason": f"taken up again by {by}"}
        told = NewEvent(key=f"taken_up:{run.last_seq}", type=EventType.RUN_STATUS, data=data)
        await self._database.call(
            b"select take_up_run(%s, %s, %s, %s, %s)", *_seen(run), _patch(patch), events_json([told])
        )

    async def record(self, request: RecordRequest) -> int:
        row = await self._database.call(
            b"select record_run(%s, %s, %s, %s, %s) as seq",
            request.scope.tenant,
            request.scope.run_id,
            _patch(request.patch) if request.patch else None,
            events_json(request.events),
            request.behind_the_end,
        )
        return int(row["seq"])

    async def events(
        self, tenant: str, run_id: str, *, after: int = 0, limit: int = 500
    ) -> Sequence[RunEvent]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select tenant, run_id, seq, type, step_id, data, at from run_events
                   where run_id = %s and seq > %s order by seq limit %s""",
                (run_id, after, limit),
            )
            return [RunEvent.model_validate(row) for row in await cursor.fetchall()]


_EVENTS = TypeAdapter(Sequence[NewEvent])


def events_json(events: Sequence[NewEvent]) -> Jsonb:
    """New events, as the SQL functions take them."""
    return Jsonb(events, dumps=_EVENTS.dump_json)


def _seen(run: Run) -> tuple[str, str, int]:
    """The run, as far as its story had come when it was read."""
    return run.tenant, run.id, run.last_seq


def _patch(patch: RunPatch) -> Jsonb:
    return Jsonb(patch.model_dump(mode="json", exclude_none=True))


def _run(row: dict[str, Any] | None, run_id: str) -> Run:
    if row is None or row["run"] is None:
        raise NotFound(f"There is no run {run_id}.", run_id=run_id)
    return Run.model_validate(row["run"])


def _row(run_input: RunInput, forked_from: str | None) -> JsonObject:
    return {
        "id": run_input.run_id,
        "goal": run_input.goal,
        "agent": run_input.agent.name,
        "agent_version": run_input.agent.version,
        "environment": run_input.environment,
        "mode": run_input.mode,
        "labels": run_input.labels,
        "thread": run_input.thread,
        "parent": run_input.parent,
        "forked_from": forked_from,
        "requested_by": run_input.requested_by,
    }


def _created_data(run_input: RunInput) -> dict[str, Any]:
    return {
        "goal": run_input.goal,
        "agent": run_input.agent.name,
        "agent_version": run_input.agent.version,
        "environment": run_input.environment,
        "mode": run_input.mode,
        "requested_by": run_input.requested_by,
        **({"notes": warnings} if (warnings := _warnings(run_input)) else {}),
    }


def _warnings(run_input: RunInput) -> list[str]:
    """Of the tools that this run may come to use."""
    offered = run_input.catalogue.allowed(run_input.agent.tools).tools
    return [tool.warning for tool in offered if tool.deprecated][:20]
