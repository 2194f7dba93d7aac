"""A move is judged where its model is asked. That spares a turn, and changes nothing of what a verdict is."""

import asyncio

import pytest

from activities.moving import Moves
from schemas.commands import PauseCommand, ResumeCommand
from schemas.plans import ToolStep
from schemas.runs import RunState, RunStatus
from schemas.stages import FastReport, NextMove, NextRequest
from schemas.verdicts import Decision, Verdict
from tests.runs.acting import BUNDLE
from tests.runs.conftest import Stage
from tests.runs.steps import say

DONE = NextMove(answer="done")


def reading(number: int) -> ToolStep:
    return ToolStep(id="any", tool="calc", arguments={"expression": f"{number} + 1"})


async def length(stage: Stage, run_id: str) -> int:
    return len((await stage.client.get_workflow_handle(run_id).fetch_history()).events)


async def costs(stage: Stage, moves: list[NextMove]) -> int:
    stage.script.moves = [*moves, DONE]
    handle = await stage.start(mode="react", state=RunState())
    assert (await handle.result()).steps_done == len(moves)
    return await length(stage, handle.id)


async def test_a_move_costs_the_events_of_two_activities_and_none_for_its_verdict(stage: Stage) -> None:
    few = await costs(stage, [NextMove(step=say("x", "1"))])
    many = await costs(stage, [NextMove(step=say("x", str(number))) for number in range(5)])
    assert many - few == 4 * 12
    assert (await stage.types(stage.started[-1])).count("verdict.given") == 5


async def test_a_move_that_only_reads_costs_one_activity(stage: Stage) -> None:
    few = await costs(stage, [NextMove(step=reading(1))])
    many = await costs(stage, [NextMove(step=reading(number)) for number in range(5)])
    assert many - few == 4 * 6
    run_id = stage.started[-1]
    assert len(await stage.effects(run_id)) == 5
    assert (await stage.types(run_id)).count("verdict.given") == 5


async def test_a_denied_move_is_an_observation(stage: Stage) -> None:
    stage.script.moves = [NextMove(step=say("x", "forbidden")), NextMove(step=say("x", "fine")), DONE]
    handle = await stage.start(mode="react", state=RunState())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["fine"]
    assert (await stage.types(handle.id)).count("step.denied") == 1
    seen = stage.script.requests[-1]
    assert isinstance(seen, NextRequest)
    assert seen.outcomes["move_1"].state == "denied"


async def test_a_delicate_move_waits_for_people(stage: Stage) -> None:
    stage.script.moves = [NextMove(step=say("x", "delicate")), DONE]
    handle = await stage.start(mode="react", state=RunState())
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["delicate"]


@pytest.mark.parametrize("step", [say("x", "later"), reading(1)], ids=["call", "read"])
async def test_a_run_that_is_paused_while_its_model_thinks_does_nothing_of_the_move(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, step: ToolStep
) -> None:
    asked, thought = asyncio.Event(), asyncio.Event()

    async def think(request: NextRequest) -> NextMove:
        asked.set()
        await thought.wait()
        return DONE if request.turn else NextMove(step=step)

    monkeypatch.setattr(stage.script, "next", think)
    handle = await stage.start(mode="react", state=RunState())
    await asked.wait()
    before = await length(stage, handle.id)
    await handle.execute_update("pause", PauseCommand())
    thought.set()
    async with asyncio.timeout(30):
        while await length(stage, handle.id) < before + 8:  # noqa: ASYNC110 - the update, the move, the turn behind it
            await asyncio.sleep(0.02)
    assert not {"verdict.given", "tool.finished"} & set(await stage.types(handle.id))
    await handle.execute_update("resume", ResumeCommand())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert (await stage.types(handle.id)).count("tool.finished") == 1


async def test_of_two_attempts_that_think_of_different_moves_the_heard_one_is_made_and_both_are_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Moves(guardian=stage.guardian, ledger=stage.ledger, fast_tools=stage.fast)

    async def think(request: NextRequest) -> NextMove:
        if request.turn == 1:
            return DONE
        await lost.judged(NextMove(step=reading(1)), request)
        await lost.judged(NextMove(step=say("x", "lost")), request)
        return NextMove(step=say("x", "heard"))

    monkeypatch.setattr(stage.script, "next", think)
    handle = await stage.start(mode="react", state=RunState())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["heard"]
    story = [event for event in await stage.story(handle.id) if event.step_id == "move_1"]
    assert [event.data["tool"] for event in story if event.type == "verdict.given"] == ["calc", "say", "say"]
    assert [event.data["tool"] for event in story if event.type == "tool.finished"] == ["calc", "say"]


async def test_a_verdict_on_another_action_serves_no_move(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = Verdict(action_digest="sha256:" + "1" * 64, decision=Decision.ALLOW, bundle=BUNDLE)

    async def lie(_self: Moves, move: NextMove, _request: NextRequest) -> NextMove:
        return move.model_copy(update={"judged": FastReport(verdict=verdict)})

    monkeypatch.setattr(Moves, "judged", lie)
    stage.script.moves = [NextMove(step=say("x", "forbidden")), DONE]
    handle = await stage.start(mode="react", state=RunState())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == []
    assert "step.denied" in await stage.types(handle.id)
