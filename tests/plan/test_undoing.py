"""What a cancelled run undoes, and by what call."""

from holdfast.plan.undoing import undoable
from schemas.plans import Compensation, ToolStep, WaitStep
from schemas.tools import Catalogue, ToolSpec


def test_a_step_is_undone_as_it_says_or_by_the_inverse_of_its_tool() -> None:
    tools = (
        ToolSpec(name="mark", description="Marks.", inverse="unmark"),
        ToolSpec(name="say", description="Says."),
    )
    own = Compensation(tool="wipe", arguments={"all": True})
    steps = (
        ToolStep(id="a", tool="mark", arguments={"who": "x"}),
        ToolStep(id="b", tool="mark", compensation=own),
        ToolStep(id="c", tool="say"),
        ToolStep(id="d", tool="gone"),
        WaitStep(id="e", seconds=1),
    )
    found = {step.id: step.compensation for step in undoable(steps, Catalogue(tools=tools))}
    assert found == {"a": Compensation(tool="unmark", arguments={"who": "x"}), "b": own}
