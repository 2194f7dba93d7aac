"""What the ledger and the approvals say about a run: the evidence every lesson must rest on."""

from typing import Any

from holdfast.adapters.postgres.database import Connection
from schemas.memory import Call, Correction, Evidence
from schemas.plans import StepState, ToolStep
from schemas.runs import StepOutcome
from schemas.stages import LearnRequest


async def evidence_of(connection: Connection, request: LearnRequest) -> Evidence:
    """From the ledger, in the order things were done; from the plan's outcomes where the ledger has nothing."""
    calls = await _calls(connection, request.scope.run_id)
    return Evidence(
        calls=calls or _from_outcomes(request),
        corrections=await _corrections(connection, request.scope.run_id),
        alert=await _alert(connection, request.scope.run_id),
    )


async def _alert(connection: Connection, run_id: str) -> str:
    """As recall is asked: by the run's label."""
    cursor = await connection.execute(
        "select coalesce(labels->>'alert', '') as alert from runs where id = %s", (run_id,)
    )
    row = await cursor.fetchone()
    return str(row["alert"])[:300] if row else ""


async def _calls(connection: Connection, run_id: str) -> tuple[Call, ...]:
    cursor = await connection.execute(
        """select step_id, tool, arguments, status, result, dispatched_at as at from effects
           where run_id = %s and status in ('succeeded', 'failed')
           union all
           select v.step_id, v.action->>'tool', v.action->'arguments', 'refused',
                  jsonb_build_object('error', jsonb_build_object('code', 'denied', 'message', v.verdict->'reasons'->0->>'message')),
                  v.created_at
           from verdicts v where v.run_id = %s and v.decision = 'deny'
           order by at, step_id limit 500""",
        (run_id, run_id),
    )
    return tuple(_call(row) for row in await cursor.fetchall())


def _call(row: dict[str, Any]) -> Call:
    result = row["result"] or {}
    error = result.get("error") or {}
    refused = row["status"] == "refused"
    return Call(
        step_id=row["step_id"],
        tool=row["tool"],
        arguments=row["arguments"] or {},
        ok=row["status"] == "succeeded",
        error=str(error.get("code") or ""),
        message=str(error.get("message") or ""),
        untrusted=not refused and bool(result.get("untrusted", True)),
        refused=refused,
    )


def _from_outcomes(request: LearnRequest) -> tuple[Call, ...]:
    steps = request.plan.steps if request.plan else ()
    return tuple(
        _outcome_call(step, request.outcomes[step.id])
        for step in steps
        if isinstance(step, ToolStep) and step.id in request.outcomes
    )


def _outcome_call(step: ToolStep, outcome: StepOutcome) -> Call:
    return Call(
        step_id=step.id,
        tool=step.tool,
        arguments=step.arguments,
        ok=outcome.state is StepState.SUCCEEDED,
        error=outcome.error.code if outcome.error else "",
        message=outcome.error.message if outcome.error else "",
        untrusted=outcome.untrusted,
        refused=outcome.state is StepState.DENIED,
    )


async def _corrections(connection: Connection, run_id: str) -> tuple[Correction, ...]:
    cursor = await connection.execute(
        """select a.step_id, a.action->>'tool' as tool, a.action->'arguments' as before, d.arguments as after,
                  d.comment, d.approver
           from approvals a join approval_decisions d on d.approval_id = a.id
           where a.run_id = %s and d.decision in ('edit', 'reject') and a.action is not null
           order by d.at limit 100""",
        (run_id,),
    )
    return tuple(
        Correction.model_validate({**row, "step_id": row["step_id"] or "", "before": row["before"] or {}})
        for row in await cursor.fetchall()
    )
