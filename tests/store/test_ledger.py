"""The choke point, as rows of a real Postgres: what goes out, what does not, and what is never said twice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.errors import NotFound, Unprocessable
from holdfast.ids import new_id
from schemas.actions import Action
from schemas.agents import AgentSpec
from schemas.approvals import ApprovalSubject, ApprovalSummary
from schemas.events import EventType, NewEvent
from schemas.facts import Facts
from schemas.runs import Run, RunInput, RunStatus
from schemas.stages import (
    ActRequest,
    AskRequest,
    JudgeRequest,
    RecordRequest,
    ResolveRequest,
    RunPatch,
    RunScope,
)
from schemas.tools import EffectClass, ToolResult, ToolSpec
from schemas.verdicts import Decision, Reason, Verdict, VerdictRecord

BUNDLE = "sha256:" + "0" * 64
TOOL = ToolSpec(name="shell", description="Runs a command.")


@pytest.fixture
async def run(database: Database) -> Run:
    return await new_run(database)


@pytest.fixture
def ledger(database: Database) -> PostgresLedger:
    return PostgresLedger(database=database)


async def new_run(database: Database, tenant: str = "default") -> Run:
    run_input = RunInput(
        run_id=new_id("run"), tenant=tenant, goal="look around", agent=AgentSpec(name="operator")
    )
    return await PostgresRuns(database=database).create(run_input)


def scope_of(run: Run) -> RunScope:
    return RunScope(tenant=run.tenant, run_id=run.id, agent=run.agent, environment=run.environment)


def act(run: Run, **changes: Any) -> ActRequest:
    fields: dict[str, Any] = {"step_id": "look", "arguments": {"command": "ls"}} | changes
    action = Action(
        tenant=run.tenant,
        run_id=run.id,
        tool="shell",
        tool_version="1.0.0",
        environment="dev",
        agent="operator",
        **fields,
    )
    return ActRequest(scope=scope_of(run), action=action, digest=action.digest, tool_digest=TOOL.digest)


def judge(request: ActRequest, **changes: Any) -> tuple[JudgeRequest, VerdictRecord]:
    fields: dict[str, Any] = {"decision": Decision.ALLOW} | changes
    verdict = Verdict(
        action_digest=request.digest,
        bundle=BUNDLE,
        reasons=(Reason(policy="test", effect=Decision.ALLOW, message="a test says so"),),
        **fields,
    )
    return JudgeRequest(scope=request.scope, action=request.action, tool=TOOL), VerdictRecord(
        verdict=verdict, facts=Facts(kind="shell", safety="read_only")
    )


async def dispatch(ledger: PostgresLedger, request: ActRequest) -> str:
    answer = await ledger.dispatch(request, effect=EffectClass.IRREVERSIBLE, worker="w1")
    return answer.outcome


async def test_an_action_without_a_verdict_never_goes_out(run: Run, ledger: PostgresLedger) -> None:
    assert await dispatch(ledger, act(run)) == "refused"
    assert await ledger.effects(run.tenant, run.id) == []


async def test_a_denied_action_never_goes_out(run: Run, ledger: PostgresLedger) -> None:
    request = act(run)
    await ledger.give_verdict(*judge(request, decision=Decision.DENY))
    assert await dispatch(ledger, request) == "refused"


async def test_an_expired_verdict_permits_nothing(run: Run, ledger: PostgresLedger) -> None:
    request = act(run)
    await ledger.give_verdict(*judge(request, expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert await dispatch(ledger, request) == "stale"


async def test_a_verdict_permits_its_own_action_and_no_other(run: Run, ledger: PostgresLedger) -> None:
    judged = act(run)
    await ledger.give_verdict(*judge(judged))
    assert await dispatch(ledger, act(run, arguments={"command": "ls /root"})) == "refused"
    assert await dispatch(ledger, judged) == "go"


async def test_a_second_dispatch_is_in_doubt_until_the_first_was_observed(
    run: Run, ledger: PostgresLedger
) -> None:
    request = act(run)
    await ledger.give_verdict(*judge(request))
    assert await dispatch(ledger, request) == "go"
    assert await dispatch(ledger, request) == "in_doubt"
    await ledger.observe(request, ToolResult(ok=True, output={"lines": 3}))
    answer = await ledger.dispatch(request, effect=EffectClass.IRREVERSIBLE, worker="w2")
    assert answer.outcome == "done"
    assert answer.result
    assert answer.result.output == {"lines": 3}


async def test_a_doubtful_effect_waits_for_a_human_word(run: Run, ledger: PostgresLedger) -> None:
    request = act(run)
    await ledger.give_verdict(*judge(request))
    await dispatch(ledger, request)
    await ledger.doubt(request, "the worker died")
    assert await dispatch(ledger, request) == "unknown"
    await ledger.resolve(
        ResolveRequest(
            scope=request.scope, step_id="look", digest=request.digest, happened=True, by="somebody"
        )
    )
    (effect,) = await ledger.effects(run.tenant, run.id)
    assert (effect.status, effect.resolution, effect.resolved_by) == ("succeeded", "happened", "somebody")


async def test_an_approval_is_used_once_and_for_its_digest_only(
    run: Run, ledger: PostgresLedger, database: Database
) -> None:
    request = act(run)
    await ledger.give_verdict(*judge(request, decision=Decision.REQUIRE_APPROVAL))
    assert await dispatch(ledger, request) == "refused"
    approval = await ask(database, request)
    assert await dispatch(ledger, request) == "refused"
    async with database.tenant(run.tenant) as connection:
        await connection.execute(
            "update approvals set status = 'approved', approved_digest = digest where id = %s", (approval,)
        )
    assert await dispatch(ledger, act(run, attempt=2)) == "refused"
    assert await dispatch(ledger, request) == "go"
    async with database.tenant(run.tenant) as connection:
        await connection.execute("delete from effects")
    assert await dispatch(ledger, request) == "refused"


async def ask(database: Database, request: ActRequest) -> str:
    approval = await PostgresApprovals(database=database).ask(
        AskRequest(
            scope=request.scope,
            id=new_id("apr"),
            step_id="look",
            subject=ApprovalSubject.ACTION,
            digest=request.digest,
            summary=ApprovalSummary(what="run ls"),
        )
    )
    return approval.id


async def test_a_frozen_tool_is_held_and_goes_on_after_the_thaw(
    run: Run, ledger: PostgresLedger, database: Database
) -> None:
    request = act(run)
    await ledger.give_verdict(*judge(request))
    async with database.tenant(run.tenant) as connection:
        await connection.execute(
            "insert into freezes (id, tenant, tool, reason) values ('f1', %s, 'sh*', 'burning')",
            (run.tenant,),
        )
    held = await ledger.dispatch(request, effect=EffectClass.IRREVERSIBLE, worker="w1")
    assert (held.outcome, held.why) == ("held", "burning")
    async with database.tenant(run.tenant) as connection:
        await connection.execute("update freezes set thawed_at = now()")
    assert await dispatch(ledger, request) == "go"


async def test_the_first_verdict_stands(run: Run, ledger: PostgresLedger) -> None:
    request = act(run)
    await ledger.give_verdict(*judge(request, decision=Decision.DENY))
    standing = await ledger.give_verdict(*judge(request, decision=Decision.ALLOW))
    assert standing.decision is Decision.DENY


async def test_a_held_verdict_is_replaced_by_the_next(run: Run, ledger: PostgresLedger) -> None:
    request = act(run)
    await ledger.give_verdict(*judge(request, decision=Decision.DENY, held=True))
    standing = await ledger.give_verdict(*judge(request, decision=Decision.ALLOW))
    assert standing.decision is Decision.ALLOW


async def test_the_story_has_no_gap_and_no_line_twice(
    run: Run, ledger: PostgresLedger, database: Database
) -> None:
    runs = PostgresRuns(database=database)
    request = act(run)
    for _ in range(2):
        await ledger.give_verdict(*judge(request))
        await ledger.dispatch(request, effect=EffectClass.READ_ONLY, worker="w1")
        await ledger.observe(request, ToolResult(ok=True))
        await runs.record(
            RecordRequest(scope=request.scope, events=(NewEvent(key="hello", type=EventType.RUN_MESSAGE),))
        )
    story = await runs.events(run.tenant, run.id)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    assert [event.type.value for event in story] == [
        "run.created",
        "step.started",
        "verdict.given",
        "tool.dispatched",
        "tool.finished",
        "step.succeeded",
        "run.message",
    ]


async def test_the_fast_lane_tells_the_same_story_in_one_call(
    run: Run, ledger: PostgresLedger, database: Database
) -> None:
    request, record = judge(act(run))
    for _ in range(2):
        await ledger.perform([(request, record, ToolResult(ok=True, output={"value": 5}))])
    story = await PostgresRuns(database=database).events(run.tenant, run.id)
    assert [event.type.value for event in story][1:] == [
        "step.started",
        "verdict.given",
        "tool.finished",
        "step.succeeded",
    ]
    (effect,) = await ledger.effects(run.tenant, run.id)
    assert effect.status == "succeeded"


async def test_another_tenant_sees_and_changes_nothing(
    run: Run, ledger: PostgresLedger, database: Database
) -> None:
    request = act(run)
    await ledger.give_verdict(*judge(request))
    await dispatch(ledger, request)
    with pytest.raises(NotFound):
        await PostgresRuns(database=database).read("other", run.id)
    assert await ledger.effects("other", run.id) == []
    foreign = request.model_copy(update={"scope": request.scope.model_copy(update={"tenant": "other"})})
    with pytest.raises(NotFound):
        await ledger.observe(foreign, ToolResult(ok=True))
    (effect,) = await ledger.effects(run.tenant, run.id)
    assert effect.status == "dispatched"


async def test_what_postgres_cannot_hold_is_the_callers_fault_and_no_outage(
    run: Run, database: Database
) -> None:
    with pytest.raises(Unprocessable):
        async with database.tenant(run.tenant) as connection:
            await connection.execute("select %s::text", ("a\0b",))


async def test_the_end_of_one_call_and_the_start_of_the_next_are_written_together(
    run: Run, ledger: PostgresLedger
) -> None:
    first, second = act(run, step_id="one"), act(run, step_id="two")
    pairs = [judge(first), judge(second)]
    await ledger.give_verdicts([request for request, _ in pairs], [record for _, record in pairs])
    await dispatch(ledger, first)
    answer = await ledger.observe_and_dispatch(
        first, ToolResult(ok=True), second, effect=EffectClass.IRREVERSIBLE, worker="w1"
    )
    assert answer.outcome == "go"
    effects = await ledger.effects(run.tenant, run.id)
    assert [(effect.step_id, effect.status.value) for effect in effects] == [
        ("one", "succeeded"),
        ("two", "dispatched"),
    ]


@pytest.mark.parametrize(("status", "outcome"), [("paused", "paused"), ("cancelled", "over")])
async def test_a_run_that_is_paused_or_over_sends_nothing(
    run: Run, ledger: PostgresLedger, database: Database, status: str, outcome: str
) -> None:
    request = act(run)
    await ledger.give_verdict(*judge(request))
    async with database.tenant(run.tenant) as connection:
        await connection.execute("update runs set status = %s where id = %s", (status, run.id))
    assert await dispatch(ledger, request) == outcome


@pytest.mark.parametrize("status", ["paused", "cancelled", "succeeded"])
async def test_the_verdict_on_a_move_is_told_only_while_its_run_is_under_way(
    database: Database, run: Run, ledger: PostgresLedger, status: RunStatus
) -> None:
    runs, request = PostgresRuns(database=database), act(run)
    read = ToolResult(ok=True)
    await runs.record(RecordRequest(scope=scope_of(run), patch=RunPatch(status=status)))
    assert await ledger.give_verdict_under_way(*judge(request)) is None
    assert not await ledger.perform_under_way(*judge(request), read)
    assert await ledger.effects(run.tenant, run.id) == []
    assert len(await runs.events(run.tenant, run.id)) == 1
    taken_up = NewEvent(key="taken up", type=EventType.RUN_STATUS)
    patch = RunPatch(status=RunStatus.RUNNING)
    await runs.record(
        RecordRequest(scope=scope_of(run), events=(taken_up,), patch=patch, behind_the_end="told")
    )
    assert await ledger.give_verdict_under_way(*judge(request)) is not None
    assert await dispatch(ledger, request) == "go"
    other = act(run, arguments={"command": "pwd"})
    assert await ledger.perform_under_way(*judge(other), read)
