"""The tools of a run are known by their digest to whoever thinks for it, and sent only where they are not."""

from holdfast.ids import new_id
from schemas.agents import AgentSpec
from schemas.plans import Plan, PlanSource
from schemas.runs import RunInput, RunOutput, RunState, RunStatus
from schemas.stages import NextMove, PlanProposal
from schemas.tools import Catalogue
from tests.runs.conftest import Stage
from tests.runs.steps import say


async def asked(stage: Stage, run_id: str, kind: str) -> list[bytes]:
    """What stands in history of the requests of an activity."""
    history = await stage.client.get_workflow_handle(run_id).fetch_history()
    return [
        event.activity_task_scheduled_event_attributes.input.SerializeToString()
        for event in history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name == kind
    ]


async def test_tools_do_not_travel_with_each_request(stage: Stage) -> None:
    stage.script.moves = [NextMove(step=say("x", "one")), NextMove(answer="done")]
    handle = await stage.start(mode="react", state=RunState())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    sent = await asked(stage, handle.id, "next_move")
    assert len(sent) == 2
    assert all(b"input_schema" not in each for each in sent)
    all_of_them = len(stage.host.catalogue().tools) + len(stage.fast.catalogue().tools)
    assert [len(request.catalogue.tools) for request in stage.script.requests] == [all_of_them] * 2


async def test_tools_that_the_stored_input_has_not_are_sent(stage: Stage) -> None:
    plan = Plan(steps=(say("a"),), source=PlanSource.MODEL)
    stage.script.plans = [PlanProposal(plan=plan, by="script")]
    run = RunInput(
        run_id=new_id("run"),
        tenant="default",
        goal="test",
        agent=AgentSpec(name="operator"),
        catalogue=stage.host.catalogue(),
        on_failure="fail",
    )
    await stage.runs.create(run.model_copy(update={"catalogue": Catalogue()}))
    output = await stage.client.execute_workflow(
        "AgentRun", run, id=run.run_id, task_queue="orchestration", result_type=RunOutput
    )
    assert output.status is RunStatus.SUCCEEDED
    assert [request.catalogue for request in stage.script.requests] == [run.catalogue]
    assert [b"input_schema" in each for each in await asked(stage, run.run_id, "plan")] == [False, True]
