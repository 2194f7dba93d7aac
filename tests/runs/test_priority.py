"""Priority and the tenant's share go with every task of a run: its calls, what it asks models, and those of its children.

Local activities are part of the workflow task, which has the same rank.
"""

from schemas.base import JsonObject
from schemas.plans import ToolStep
from schemas.stages import NextMove
from tests.runs.house import House, say


async def test_every_task_of_a_run_and_of_its_children_carries_its_priority_and_its_tenant(
    house: House,
) -> None:
    house.script.moves = [
        NextMove(step=ToolStep(id="x", tool="say", arguments={"text": "child"})),
        NextMove(answer="done"),
    ]
    child: JsonObject = {"id": "ask", "kind": "agent", "agent": "operator", "goal": "find it"}
    run = await house.start(
        say("a"),
        say("each", "${item}", for_each="${inputs.names}"),
        child,
        priority=1,
        inputs={"names": ["b", "c"]},
    )
    assert (await house.end(run))["status"] == "succeeded"
    assert sorted(house.world.said) == ["a", "b", "c", "child"]
    assert house.world.priorities == [(1, "default")] * 4
    assert house.script.ranks == {"next": (1, "default"), "answer": (1, "default")}
