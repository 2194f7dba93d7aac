"""What was judged, read back: recorded actions for backtests, and what became of them for experiments."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from pydantic import ValidationError

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.guardian.backtesting import Recorded
from holdfast.guardian.experiments import RunTally
from schemas.actions import Action
from schemas.facts import Facts
from schemas.tools import ToolSpec

_PAGE = 1000


class PostgresPolicyRecords:
    """Fulfils the port `RecordStore`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def recorded(self, tenant: str, *, days: float, limit: int) -> AsyncIterator[Recorded | None]:
        """Newest first, a page at a time, each in a transaction of its own: a long backtest holds nothing open."""
        specs: dict[tuple[str, str], ToolSpec] = {}
        last: tuple[Any, ...] | None = None
        while limit > 0:
            async with self._database.tenant(tenant) as connection:
                rows = await _page(connection, days, last, min(limit, _PAGE))
                found = [await _recorded(connection, row, specs) for row in rows]
            for each in found:
                yield each
            if len(rows) < _PAGE:
                return
            limit -= len(rows)
            last = (rows[-1]["created_at"], rows[-1]["run_id"], rows[-1]["action_digest"])

    async def tallies(self, tenant: str, policy: str, *, days: float) -> Sequence[RunTally]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(_TALLIES, {"policy": policy, "days": days})
            return [RunTally(**row) for row in await cursor.fetchall()]


async def _page(
    connection: Connection, days: float, last: tuple[Any, ...] | None, size: int
) -> list[dict[str, Any]]:
    cursor = await connection.execute(
        """select run_id, action_digest, created_at, action, record->'facts' as facts from verdicts
           where created_at > clock_timestamp() - make_interval(secs => %s * 86400)
             and (%s or (created_at, run_id, action_digest) < (%s::timestamptz, %s::text, %s::text))
           order by created_at desc, run_id desc, action_digest desc limit %s""",
        (days, last is None, *(last or (None, None, None)), size),
    )
    return await cursor.fetchall()


async def _recorded(
    connection: Connection, row: dict[str, Any], specs: dict[tuple[str, str], ToolSpec]
) -> Recorded | None:
    try:
        action, facts = Action.model_validate(row["action"]), Facts.model_validate(row["facts"])
    except ValidationError:
        return None
    key = (action.tool, action.tool_version)
    if key not in specs:
        specs[key] = await _spec(connection, action)
    return Recorded(action, specs[key], facts)


async def _spec(connection: Connection, action: Action) -> ToolSpec:
    """The tool as the run knew it; where the run no longer says, one that promises nothing."""
    cursor = await connection.execute(
        """select tool from runs, jsonb_array_elements(input->'catalogue'->'tools') as tool
           where id = %s and tool->>'name' = %s and tool->>'version' = %s limit 1""",
        (action.run_id, action.tool, action.tool_version),
    )
    row = await cursor.fetchone()
    if row is None:
        return ToolSpec(name=action.tool, version=action.tool_version, description="No longer known.")
    return ToolSpec.model_validate(row["tool"])


_TALLIES = """
with recent as (
  select * from verdicts where created_at > clock_timestamp() - make_interval(secs => %(days)s * 86400)
), spoke as (
  select run_id, action_digest from recent
  where record->'matches' @> jsonb_build_array(jsonb_build_object('policy', %(policy)s::text))
     or record->'shadow' @> jsonb_build_array(jsonb_build_object('policy', %(policy)s::text))
)
select v.run_id,
       count(*) as actions,
       count(*) filter (where v.decision = 'allow') as allowed,
       count(*) filter (where v.decision = 'deny') as denied,
       count(*) filter (where v.decision = 'require_approval') as asked,
       count(s.action_digest) as matched,
       count(*) filter (where a.status in ('approved', 'rejected')) as answered,
       count(*) filter (where a.status = 'approved') as approved,
       count(*) filter (where v.decision = 'deny' and exists (
         select from recent w
         where w.run_id = v.run_id and w.action->>'tool' = v.action->>'tool' and w.created_at > v.created_at
       )) as retried_after_denial
from recent v
left join spoke s on s.run_id = v.run_id and s.action_digest = v.action_digest
left join lateral (
  select status from approvals p
  where p.run_id = v.run_id and p.digest = v.action_digest and p.subject = 'action'
  order by p.created_at desc limit 1
) a on true
where v.run_id in (select run_id from spoke)
group by v.run_id
order by v.run_id
"""
