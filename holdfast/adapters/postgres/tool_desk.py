"""What people see and decide of tools: which are offered where, how they fare, and which manifests were refused."""

from collections.abc import Sequence
from typing import Any, Literal

from holdfast.adapters.postgres.database import Database
from holdfast.tools.registry import semantic
from schemas.tools import ToolProblem, ToolSpec, ToolState, ToolSwitch, ToolUse

_STATES = """
select t.spec, t.published_at, t.seen_at, t.withdrawn_at,
       coalesce(array_agg(d.environment order by d.environment) filter (where d.name is not null), '{}') as disabled_in
from tools t left join tools_disabled d on d.name = t.name
where %(name)s::text is null or t.name = %(name)s
group by t.tenant, t.name, t.version
"""
_USES = """
select tool, tool_version as version, count(*) as calls,
       count(*) filter (where status = 'succeeded') as succeeded,
       count(*) filter (where status = 'failed') as failed,
       count(*) filter (where status in ('unknown', 'dispatched')) as unknown,
       percentile_cont(array[0.5, 0.95, 0.99]) within group (order by (result->>'duration_ms')::float8) as latencies,
       max(dispatched_at) as last_used_at
from effects
where dispatched_at > clock_timestamp() - make_interval(secs => %(seconds)s)
  and (%(tool)s::text is null or tool = %(tool)s)
group by tool, tool_version order by tool, tool_version
"""
_FAILURES = """
select tool, tool_version as version, coalesce(result->'error'->>'code', 'failed') as code, count(*) as calls
from effects
where dispatched_at > clock_timestamp() - make_interval(secs => %(seconds)s) and status = 'failed'
  and (%(tool)s::text is null or tool = %(tool)s)
group by 1, 2, 3
"""


class PostgresToolDesk:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def states(self, tenant: str, name: str | None = None) -> Sequence[ToolState]:
        """Every version that was ever offered, with where it is switched off."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(_STATES, {"name": name})
            states = [_state(row) for row in await cursor.fetchall()]
        return sorted(states, key=lambda state: (state.spec.name, semantic(state.spec.version)))

    async def switch(self, tenant: str, name: str, switch: ToolSwitch, *, by: str) -> None:
        """Runs that start from now on see it, or do not."""
        async with self._database.tenant(tenant) as connection:
            if switch.enabled:
                await connection.execute(
                    "delete from tools_disabled where name = %s and (environment = %s or %s = '*')",
                    (name, switch.environment, switch.environment),
                )
                return
            await connection.execute(
                """insert into tools_disabled (tenant, name, environment, disabled_by) values (%s, %s, %s, %s)
                   on conflict do nothing""",
                (tenant, name, switch.environment, by),
            )

    async def uses(self, tenant: str, *, seconds: float, tool: str | None = None) -> Sequence[ToolUse]:
        """How each version fared, from the ledger."""
        asked = {"seconds": seconds, "tool": tool}
        async with self._database.tenant(tenant) as connection:
            rows = await (await connection.execute(_USES, asked)).fetchall()
            failures = await (await connection.execute(_FAILURES, asked)).fetchall()
        by_version: dict[tuple[str, str], dict[str, int]] = {}
        for row in failures:
            by_version.setdefault((row["tool"], row["version"]), {})[row["code"]] = row["calls"]
        return [_use(row, by_version.get((row["tool"], row["version"]), {})) for row in rows]

    async def problems(self) -> Sequence[ToolProblem]:
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select source, problem, worker, at from tool_problems order by source"
            )
            return [ToolProblem.model_validate(row) for row in await cursor.fetchall()]


class PostgresToolNotice:
    """What one worker says of its manifests and servers. Fulfils `holdfast.tools.shelf.Refusals`."""

    def __init__(self, *, database: Database, worker: str) -> None:
        self._database = database
        self._worker = worker

    async def refuse(self, source: str, problem: str) -> None:
        async with self._database.statement() as connection:
            await connection.execute(
                """insert into tool_problems (source, worker, problem) values (%s, %s, %s)
                   on conflict (source) do update
                     set worker = excluded.worker, problem = excluded.problem, at = clock_timestamp()""",
                (source, self._worker, problem[:2000]),
            )

    async def accept(self, source: str) -> None:
        async with self._database.statement() as connection:
            await connection.execute("delete from tool_problems where source = %s", (source,))

    async def keep_only(self, kind: Literal["file", "server"], sources: Sequence[str]) -> None:
        """What was refused and then taken away while no worker looked is no problem any more."""
        async with self._database.statement() as connection:
            await connection.execute(
                """delete from tool_problems
                   where starts_with(source, 'mcp:') = %s and not source = any(%s::text[])""",
                (kind == "server", list(sources)),
            )


def _state(row: dict[str, Any]) -> ToolState:
    disabled = tuple(row["disabled_in"])
    return ToolState(
        spec=ToolSpec.model_validate(row["spec"]),
        offered=row["withdrawn_at"] is None and "*" not in disabled,
        disabled_in=disabled,
        published_at=row["published_at"],
        seen_at=row["seen_at"],
        withdrawn_at=row["withdrawn_at"],
    )


def _use(row: dict[str, Any], failures: dict[str, int]) -> ToolUse:
    p50, p95, p99 = row.pop("latencies") or (None, None, None)
    return ToolUse(**row, failures=failures, p50_ms=p50, p95_ms=p95, p99_ms=p99)
