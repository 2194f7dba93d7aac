"""The parts of one run, made known to each other."""

from collections.abc import Awaitable, Callable

from holdfast.plan.progress import Progress
from schemas.runs import RunInput
from workflows.accepting import Accepting
from workflows.calls import Calls
from workflows.delegation import Delegation
from workflows.desk import Desk
from workflows.executor import Executor
from workflows.gate import Gate
from workflows.moves import Moves
from workflows.panel import Panels
from workflows.parking import Parking
from workflows.performer import Performer
from workflows.plan_approval import PlanApproval
from workflows.planning import Planning
from workflows.stages import Stages
from workflows.steps import Steps
from workflows.teller import Teller
from workflows.waits import Waits


class Crew:
    def __init__(self, start: RunInput, *, needs_help: Callable[[str, str], Awaitable[None]]) -> None:
        self.progress = progress = Progress(start)
        self.teller = teller = Teller(start, progress)
        self.gate = Gate(progress)
        self.desk = desk = Desk(teller, requested_by=start.requested_by)
        parking = Parking()
        self.performer = Performer(
            teller=teller, desk=desk, gate=self.gate, progress=progress, parking=parking
        )
        self.delegation = Delegation(start=start, progress=progress, teller=teller, parking=parking)
        calls = Calls(
            start=start, progress=progress, teller=teller, performer=self.performer, parking=parking
        )
        steps = Steps(
            start=start,
            progress=progress,
            teller=teller,
            calls=calls,
            waits=Waits(start=start, progress=progress, teller=teller, desk=desk, parking=parking),
            panels=Panels(start=start, progress=progress, teller=teller, desk=desk, parking=parking),
            delegation=self.delegation,
            desk=desk,
        )
        self.executor = Executor(
            steps=steps, progress=progress, gate=self.gate, teller=teller, parking=parking
        )
        self.stages = Stages(start=start, progress=progress, teller=teller)
        self.accepting = Accepting(start=start, progress=progress, teller=teller)
        self.moves = Moves(
            start=start,
            progress=progress,
            teller=teller,
            executor=self.executor,
            needs_help=needs_help,
            foresee=self.performer.foresee,
        )
        self.planning = Planning(
            start=start,
            progress=progress,
            teller=teller,
            accepting=self.accepting,
            needs_help=needs_help,
            recall_after=self.stages.recall_after,
            approve=PlanApproval(start=start, progress=progress, teller=teller, desk=desk).given,
        )
