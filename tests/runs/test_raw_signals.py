"""Signals that say a decision was made which nobody made: told and audited, and true ones never doubted."""

import asyncio
import json
from asyncio.subprocess import DEVNULL
from collections.abc import Sequence

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.sdk.v1 import ExternalStorageReference
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.converter import DefaultPayloadConverter

from holdfast.adapters.postgres.audit import AuditFilter, PostgresAudit
from holdfast.adapters.postgres.doubts import MOST_TOLD
from holdfast.embedded.temporal import bundled_program
from schemas.base import JsonObject
from schemas.commands import PauseCommand, ResumeCommand
from schemas.runs import RunOutput, RunStatus
from tests.runs import house as at_home
from tests.runs.conftest import Stage
from tests.runs.house import House
from tests.runs.steps import say
from workflows.agent_run import AgentRun


async def test_a_signal_does_not_complete_a_quorum_and_its_votes_are_not_doubted(house: House) -> None:
    await house.policy("ask-two", effect="require_approval", scope={"tools": ["say"]}, approval={"quorum": 2})
    run = await house.start(at_home.say("a"))
    asked = await house.decide(run)
    await house.client.get_workflow_handle(run).signal("approval_decided", asked["id"])
    told = await house.event(run, "approval.unfounded")
    assert told.data["approval_id"] == asked["id"]
    assert house.world.said == []
    await house.decide(run, key=await house.api.new_key("admin"))
    assert (await house.end(run))["status"] == "succeeded"
    assert [event.type.value for event in await house.story(run)].count("approval.unfounded") == 1
    lines = await house.get(f"/v1/audit?object=/v1/runs/{run}&action=SIGNAL approval_decided")
    assert [json.loads(line["entry"])["detail"]["approval_id"] for line in lines["items"]] == [asked["id"]]
    assert (await house.get("/v1/audit/verify"))["ok"]


async def test_a_raw_signal_is_told_and_audited_with_what_it_claimed(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    asked = await stage.until(handle.id, "approval.requested")
    claims = {
        asked.data["approval_id"]: "has not been said",
        "apr_" + "0" * 24: "no such",
        "x\0\n'--": "no such",
    }
    for number, (claim, why) in enumerate(claims.items(), start=1):
        await handle.signal("approval_decided", claim)
        told = await stage.until(handle.id, "approval.unfounded", times=number)
        assert why in told.data["why"]
        assert told.data["approval_id"] == ascii(claim)[1:-1]
    lines = await audited(stage, handle.id)
    assert [line["detail"]["approval_id"] for line in lines] == [ascii(claim)[1:-1] for claim in claims]
    assert {(line["action"], line["status"]) for line in lines} == {("SIGNAL approval_decided", 409)}
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED


async def test_a_raw_signal_that_names_nothing_is_told_and_the_run_goes_on(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.until(handle.id, "approval.requested")
    await handle.signal("approval_decided")
    await handle.signal("approval_decided", {"decision": "approve"})
    await stage.until(handle.id, "approval.unfounded", times=2)
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED


async def test_a_flood_of_raw_signals_is_told_by_its_beginning(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.until(handle.id, "approval.requested")
    for number in range(MOST_TOLD + 5):
        await handle.signal("approval_decided", f"apr_{number:024}")
    await stage.until(handle.id, "approval.unfounded", times=MOST_TOLD)
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    told = [each for each in await stage.story(handle.id) if each.type.value == "approval.unfounded"]
    assert [each.data["last"] for each in told] == [False] * (MOST_TOLD - 1) + [True]
    assert len(await audited(stage, handle.id)) == MOST_TOLD


async def test_a_true_decision_is_never_doubted_however_often_and_late_it_is_passed_on(stage: Stage) -> None:
    handle = await stage.start(
        say("ask", "delicate"),
        say("again", "delicate too", depends_on=("ask",)),
        requested_by="user:somebody",
    )
    first = await stage.until(handle.id, "approval.requested")
    await stage.answer(first, approve=True)
    await stage.until(handle.id, "approval.requested", times=2)
    for _ in range(3):
        await handle.signal("approval_decided", first.data["approval_id"])
    await handle.execute_update("pause", PauseCommand())
    await handle.execute_update("resume", ResumeCommand())
    await stage.answer(await stage.until(handle.id, "approval.requested", times=2), approve=True)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert "approval.unfounded" not in await stage.types(handle.id)
    assert await audited(stage, handle.id) == []


async def audited(stage: Stage, run_id: str) -> list[JsonObject]:
    """What the audit log says of the run's signals, in the order of the chain."""
    wanted = AuditFilter(object=f"/v1/runs/{run_id}")
    lines = await PostgresAudit(database=stage.database).found("default", wanted, after=0, limit=100)
    return [json.loads(line.entry) for line in lines]


ODD: Sequence[Sequence[object]] = (
    (),
    (None,),
    (7,),
    ("x", "y", "z"),
    ({"id": 7, "text": [], "name": "", "by": []},),
    ([[[]]], {}),
    ("run_" + "x" * 2000,),
)
"""What a hand in Temporal's tools may send: nothing, too much, or something else."""


async def test_no_signal_from_temporals_own_tools_ends_or_breaks_a_run(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.until(handle.id, "approval.requested")
    names = ["post_event", "instruct", "approval_decided", "thawed", "tell_end_to", "agent_ended", "nobody"]
    for arguments in ODD:
        await asyncio.gather(*(by_hand(stage, ["signal"], handle.id, name, *arguments) for name in names))
    await ends_well(stage, handle)


async def test_no_update_from_temporals_own_tools_ends_or_breaks_a_run(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.until(handle.id, "approval.requested")
    for arguments in ODD:
        for name in ("pause", "resume", "cancel", "nobody"):
            assert await by_hand(stage, ["update", "execute"], handle.id, name, *arguments) != 0
    assert (await stage.run(handle.id)).status is RunStatus.INPUT_REQUIRED
    await ends_well(stage, handle)


KEPT = ExternalStorageReference(driver_name="holdfast-postgres", claim_data={"key": f"run_a/{'0' * 64}"})
FORGED = {
    "sealed": Payload(
        metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"a"}, data=b"with no key of ours"
    ),
    "kept": DefaultPayloadConverter().to_payloads([KEPT])[0],
}
"""What stands for something that is not to be had, as Temporal's own API lets anybody send it."""


@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_payload_holds_up_no_run_and_its_claim_is_told_and_audited(
    stage: Stage, forged: str
) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.until(handle.id, "approval.requested")
    for name in ("approval_decided", "instruct", "post_event", "agent_ended"):
        await handle.signal(name, RawValue(FORGED[forged]))
    told = await stage.until(handle.id, "approval.unfounded")
    assert "unread" in told.data["approval_id"]
    assert len(await audited(stage, handle.id)) == 1
    for name in ("pause", "cancel"):
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(name, RawValue(FORGED[forged]))
    await ends_well(stage, handle)


async def ends_well(stage: Stage, handle: WorkflowHandle[AgentRun, RunOutput]) -> None:
    await stage.decide(handle.id)
    async with asyncio.timeout(30):
        assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["delicate"]
    failures = [event for event in (await handle.fetch_history()).events if "TASK_FAILED" in str(event)]
    assert failures == []


async def test_a_claim_with_more_behind_it_is_told_like_any_other(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    asked = await stage.until(handle.id, "approval.requested")
    await by_hand(stage, ["signal"], handle.id, "approval_decided", asked.data["approval_id"], "approve")
    told = await stage.until(handle.id, "approval.unfounded")
    assert told.data["approval_id"] == asked.data["approval_id"]
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED


async def by_hand(stage: Stage, verb: Sequence[str], run_id: str, name: str, *arguments: object) -> int:
    """With Temporal's command line."""
    given = [part for each in arguments for part in ("--input", json.dumps(each))]
    process = await asyncio.create_subprocess_exec(
        bundled_program(),
        "workflow",
        *verb,
        *("--workflow-id", run_id, "--name", name, *given),
        *("--address", stage.client.service_client.config.target_host),
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    return await process.wait()
