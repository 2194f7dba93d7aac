"""Which steps of a plan can be undone, and by what call."""

from collections.abc import Sequence

from schemas.plans import Compensation, Step, ToolStep
from schemas.tools import Catalogue


def undoable(steps: Sequence[Step], catalogue: Catalogue) -> list[ToolStep]:
    """Those that say how, and those whose tool has an inverse: it is called with the arguments of the step."""
    calls = (_with_inverse(step, catalogue) for step in steps if isinstance(step, ToolStep))
    return [step for step in calls if step.compensation is not None]


def _with_inverse(step: ToolStep, catalogue: Catalogue) -> ToolStep:
    tool = catalogue.find(step.tool)
    if step.compensation is not None or tool is None or tool.inverse is None:
        return step
    inverse = Compensation(tool=tool.inverse, arguments=step.arguments)
    return step.model_copy(update={"compensation": inverse})
