"""What needs a planner: a plan, the next move, the answer. On the `llm` queue, where the model keys are."""

from temporalio import activity

from activities.catalogues import Catalogues
from activities.heartbeat import heartbeats
from activities.moving import Moves
from activities.retold import Retold
from holdfast.llm.lessons import LessonWriter
from holdfast.ports import Planner, Story
from schemas.stages import (
    Answer,
    AnswerRequest,
    Learned,
    LearnRequest,
    NextMove,
    NextRequest,
    PlanProposal,
    PlanRequest,
)

_PATIENT_ATTEMPTS = 3


class ThinkActivities:
    """Safe to repeat: a second answer may differ, but only the one that enters history is acted on. A move that was told is
    not thought of again."""

    def __init__(
        self, *, planner: Planner, catalogues: Catalogues, story: Story, moves: Moves | None = None
    ) -> None:
        """Without `moves`, the run itself has them judged."""
        self._planner = planner
        self._retold = Retold(story=story)
        self._catalogues = catalogues
        self._moves = moves

    @activity.defn
    async def plan(self, request: PlanRequest) -> PlanProposal:
        async with heartbeats():
            request = await self._catalogues.filled_in(request)
            told = await self._retold.plan(request) if request.again else None
            return told or await self._planner.plan(request.model_copy(update={"patient": _is_patient()}))

    @activity.defn
    async def next_move(self, request: NextRequest) -> NextMove:
        async with heartbeats():
            request = await self._catalogues.filled_in(request)
            move = await self._retold.move(request) if request.again or _is_second() else None
            move = move or await self._planner.next(request)
            return await self._moves.judged(move, request) if self._moves else move

    @activity.defn
    async def answer(self, request: AnswerRequest) -> Answer:
        """The last attempts do without a model, rather than fail a run whose work is done."""
        async with heartbeats():
            return await self._planner.answer(request.model_copy(update={"patient": _is_patient()}))


def _is_second() -> bool:
    return activity.info().attempt > 1


def _is_patient() -> bool:
    return activity.info().attempt <= _PATIENT_ATTEMPTS


class LookBackActivities:
    """What a run taught, as a model sees it. Not a part of any run: it is started when one has ended."""

    def __init__(self, *, writer: LessonWriter | None) -> None:
        """Without a model there is nobody to look back."""
        self._writer = writer

    @activity.defn
    async def write_lessons(self, request: LearnRequest) -> Learned:
        """Safe to repeat: a run about which a model has written is left alone."""
        if self._writer is None:
            return Learned()
        async with heartbeats():
            return await self._writer.learn(request)
