"""Calls whose end nobody saw: a person says what happened, the ledger keeps the word, and silence repeats nothing."""

from holdfast.adapters.postgres.approvals import PostgresApprovals
from schemas.commands import ResumeCommand
from schemas.plans import StepRetry
from schemas.runs import RunStatus
from tests.runs.conftest import Stage
from tests.runs.steps import say
from tests.runs.test_web_ui import lose_sight_of_the_call, set_back

AGAIN = StepRetry(attempts=3, wait_s=0.01)


async def nobody_answers(stage: Stage, run_id: str) -> None:
    """The question has expired."""
    asked = await stage.until(run_id, "approval.requested")
    await PostgresApprovals(database=stage.database).expire("default", asked.data["approval_id"])
    await stage.client.get_workflow_handle(run_id).signal("approval_decided", asked.data["approval_id"])


async def test_what_nobody_answers_for_is_not_tried_again_and_asked_about_first(stage: Stage) -> None:
    handle = await stage.start(say("a", arguments={"wait": "door"}, retry=AGAIN), on_failure="pause")
    await lose_sight_of_the_call(stage, handle.id)
    await nobody_answers(stage, handle.id)
    waiting = await stage.until(handle.id, "run.status", times=3)
    assert "Nobody said whether it happened" in waiting.data["reason"]
    assert stage.world.said == ["a"]
    await handle.execute_update("resume", ResumeCommand())
    asked = await stage.until(handle.id, "approval.requested", times=2)
    assert asked.data["subject"] == "effect_unknown"
    assert stage.world.said == ["a"]
    stage.world.gates["door"].set()
    await stage.answer(asked, approve=False)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "a"]
    assert [effect.status for effect in await stage.effects(handle.id)] == ["failed", "succeeded"]


async def test_the_word_of_a_person_is_what_the_ledger_answers_with_from_then_on(stage: Stage) -> None:
    handle = await stage.start(say("a", arguments={"wait": "never"}), say("b", depends_on=("a",)))
    await lose_sight_of_the_call(stage, handle.id)
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    first, _ = await stage.effects(handle.id)
    assert first.result is not None
    assert (first.status, first.result.summary) == ("succeeded", "A human said it happened.")
    before = await stage.types(handle.id)
    assert (await set_back(stage, handle.id, tasks=1)).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "b"]
    assert await stage.types(handle.id) == before


async def test_an_item_that_did_not_happen_is_called_again(stage: Stage) -> None:
    handle = await stage.start(
        say("each", "${item}", for_each="${inputs.names}", arguments={"wait": "door"}, retry=AGAIN),
        inputs={"names": ["m"]},
    )
    await lose_sight_of_the_call(stage, handle.id)
    stage.world.gates["door"].set()
    await stage.decide(handle.id, approve=False)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["m", "m"]
