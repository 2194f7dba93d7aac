"""What is told of a run, and read back from what was told."""

from typing import Literal

from pydantic import Field

from schemas.base import Digest, JsonObject, Name, Payload, RunId, StepId
from schemas.events import NewEvent
from schemas.plans import Citation
from schemas.runs import RunState, RunStatus, StepOutcome
from schemas.stages.scope import RunScope


class RunPatch(Payload):
    """What changes in the row of the run; what is None stays."""

    status: RunStatus | None = None
    reason: str | None = None
    answer: str | None = None
    outputs: JsonObject | None = None
    cites: tuple[Citation, ...] | None = None
    spend_usd: float | None = None


BehindTheEnd = Literal["refused", "dropped", "told"]
"""What becomes of news of a run that has told its end."""


class RecordRequest(Payload):
    """Tell events, and change the run's row with them, in one transaction."""

    scope: RunScope
    events: tuple[NewEvent, ...] = ()
    patch: RunPatch | None = None
    behind_the_end: BehindTheEnd = "refused"


class LoadRequest(Payload):
    """Read back an output that was kept aside."""

    scope: RunScope
    digest: Digest


class LookUpRequest(Payload):
    """Ask the story how these steps ended."""

    scope: RunScope
    steps: tuple[StepId, ...]


class StepsLookedUp(Payload):
    outcomes: dict[StepId, StepOutcome] = {}
    items: dict[StepId, dict[int, StepOutcome]] = Field(default={}, description="The calls of a `for_each`.")


class RunLookUp(Payload):
    """Ask the store how another run of the same tenant stands."""

    scope: RunScope
    run_id: RunId


class PastRequest(Payload):
    """Ask what an agent did that worked on the same goal in one of these runs, the last of them first."""

    scope: RunScope
    runs: tuple[RunId, ...]
    goal: str
    agent: Name


class Past(Payload):
    """What whoever goes on begins with. `under_way`: that agent has not ended yet, and is not to be overtaken."""

    state: RunState = RunState()
    under_way: RunId | None = None
