"""Runs and their story: the row, the events, and what the API asks of both."""

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from holdfast.adapters.postgres.database import Database
from holdfast.errors import NotFound
from schemas.events import EventType, NewEvent, RunEvent
from schemas.runs import Run, RunInput, RunStatus
from schemas.stages import RecordRequest

_RUN_COLUMNS = """r.tenant, r.id, r.goal, r.agent, r.agent_version, r.environment, r.mode, r.status, r.reason, r.answer,
  r.outputs, r.cites, r.labels, r.thread, r.parent, r.forked_from, r.requested_by, r.spend_usd::float8 as spend_usd,
  r.created_at, r.started_at, r.ended_at, h.last_seq"""


class PostgresRuns:
    """Fulfils the ports `Runs` and `Story`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def create(self, run_input: RunInput, *, forked_from: str | None = None) -> Run:
        """The row and its first event, in one transaction. A second call with the same id answers the same."""
        async with self._database.tenant(run_input.tenant) as connection:
            await connection.execute(
                """insert into runs (tenant, id, goal, agent, agent_version, environment, mode, status, labels, thread,
                                     parent, forked_from, requested_by, input)
                   values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (id) do nothing""",
                (
                    run_input.tenant,
                    run_input.run_id,
                    run_input.goal,
                    run_input.agent.name,
                    run_input.agent.version,
                    run_input.environment,
                    run_input.mode,
                    RunStatus.QUEUED,
                    Jsonb(run_input.labels),
                    run_input.thread,
                    run_input.parent,
                    forked_from,
                    run_input.requested_by,
                    Jsonb(run_input.model_dump(mode="json")),
                ),
            )
            await connection.execute(
                "insert into run_heads (run_id, tenant) values (%s, %s) on conflict do nothing",
                (run_input.run_id, run_input.tenant),
            )
            created = {"key": "created", "type": EventType.RUN_CREATED, "data": _created_data(run_input)}
            await connection.execute("select tell(%s, %s)", (run_input.run_id, Jsonb([created])))
        return await self.read(run_input.tenant, run_input.run_id)

    async def discard(self, tenant: str, run_id: str) -> None:
        """Take back a run whose workflow could not be started; one that has started stays."""
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "delete from runs where id = %s and status = %s and started_at is null",
                (run_id, RunStatus.QUEUED),
            )

    async def read(self, tenant: str, run_id: str) -> Run:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"select {_RUN_COLUMNS} from runs r join run_heads h on h.run_id = r.id where r.id = %s",  # noqa: S608 - a constant
                (run_id,),
            )
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"There is no run {run_id}.", run_id=run_id)
        return Run.model_validate(row)

    async def start_input(self, tenant: str, run_id: str) -> RunInput:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute("select input from runs where id = %s", (run_id,))
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"There is no run {run_id}.", run_id=run_id)
        return RunInput.model_validate(row["input"])

    async def unstarted(self, *, older_than_s: float) -> Sequence[tuple[str, str]]:
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select tenant, run_id from unstarted_runs(make_interval(secs => %s))", (older_than_s,)
            )
            return [(row["tenant"], row["run_id"]) for row in await cursor.fetchall()]

    async def record(self, request: RecordRequest) -> int:
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select record_run(%s, %s, %s, %s) as seq",
                (
                    request.scope.tenant,
                    request.scope.run_id,
                    Jsonb(request.patch.model_dump(mode="json", exclude_none=True))
                    if request.patch
                    else None,
                    events_json(request.events),
                ),
            )
            row = await cursor.fetchone()
        return int(row["seq"]) if row else 0

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


def _created_data(run_input: RunInput) -> dict[str, Any]:
    return {
        "goal": run_input.goal,
        "agent": run_input.agent.name,
        "agent_version": run_input.agent.version,
        "environment": run_input.environment,
        "mode": run_input.mode,
        "requested_by": run_input.requested_by,
    }
