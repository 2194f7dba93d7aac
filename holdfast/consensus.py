"""A question to a panel, asked directly: a run of one step, so that it is as durable, as paid and as answered for as any
other step of a run."""

from schemas.approvals import Approval
from schemas.base import JsonObject
from schemas.panels import Consensus, ConsensusRequest, Escalation, PanelResult, PanelTerms
from schemas.plans import PanelStep, Plan
from schemas.runs import Run, RunRequest

STEP = "panel"
_TERMS = (*PanelTerms.model_fields, *Escalation.model_fields)


def run_for(request: ConsensusRequest) -> RunRequest:
    """The question goes in as an input: nothing in it is read as a reference."""
    step = PanelStep(
        id=STEP,
        title=request.question[:200],
        question="${inputs.question}",
        context="${inputs.context}",
        **{name: getattr(request, name) for name in _TERMS},
    )
    return RunRequest(
        goal=request.question,
        agent=request.agent,
        environment=request.environment,
        mode="plan",
        plan=Plan(steps=(step,), answer=f"${{steps.{STEP}.output.answer}}"),
        inputs={"question": request.question, "context": request.context},
        on_failure="fail",
        labels=request.labels,
    )


def consensus_of(
    run: Run, result: PanelResult | None, output: JsonObject, approval: Approval | None
) -> Consensus:
    """`output` is what the step left behind; nothing until it has ended well."""
    own = result is None or output.get("panel_id") == result.id
    decided = output if own and output else _by_itself(result)
    return Consensus(
        id=run.id,
        status=run.status.value,
        reason=run.reason,
        question=result.question if result else run.goal,
        answer=str(decided.get("answer") or ""),
        choice=decided.get("choice"),
        decided_by=decided.get("decided_by"),
        approvers=tuple(decided.get("approvers", ())),
        approval_id=approval.id if approval else None,
        result=result,
        created_at=run.created_at,
    )


def _by_itself(result: PanelResult | None) -> JsonObject:
    """What a panel's result says before its step has ended, or where it was the guardian who asked."""
    if result is None or result.escalate:
        return {}
    return {"answer": result.answer, "choice": result.choice, "decided_by": "panel"}
