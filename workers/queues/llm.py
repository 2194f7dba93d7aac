"""The llm queue: planning, moving and answering, by a model where one is configured. The only place with model keys."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from activities.moving import Moves
from holdfast.adapters.llm.layer import ModelLayer
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.models import PostgresSpend
from holdfast.adapters.postgres.opinions import PostgresOpinions
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.adapters.postgres.writing import ShownWriting
from holdfast.guardian.judge import SecondOpinions
from holdfast.knowledge.planner import RunbookPlanner
from holdfast.knowledge.ports import Embedder
from holdfast.llm.panels.action_panel import PanelJudge
from holdfast.llm.panels.panel import Embed as EmbedAnswers
from holdfast.llm.plan_cache import Embed
from holdfast.llm.questions import ModelQuestionWriter
from holdfast.memory.heeding import HeedingPlanner
from schemas.memory import MemoryStatus
from workers import judging, pools
from workers.housekeeping import Chore
from workers.parts import Parts

CHORES_EVERY = timedelta(minutes=1)


async def pool(held: Parts) -> pools.Pool:
    database, settings = await held.database(), held.settings
    temporal = await held.client(role="holdfast_app")
    layer = await ModelLayer.open(settings.models, database=database, temporal=temporal)
    held.closes(layer.close)
    shelf = await held.shelf()
    planner = layer.planner(
        runbook=RunbookPlanner(library=shelf.library),
        embed=_embedding(held.embedder()),
        cache=settings.models.cache,
        listener=ShownWriting(database=database),
    )
    heeding = HeedingPlanner(planner=planner, lessons=shelf.memory)
    lessons = layer.lessons(shelf=shelf.memory, status=MemoryStatus(settings.knowledge.new_lessons))
    panel = layer.panel(embed=_comparing(held.embedder()))
    opinions = SecondOpinions(
        model=layer.action_judge(),
        panel=PanelJudge(panel=panel),
        book=PostgresOpinions(database=database),
    )
    asker = ModelQuestionWriter(model=layer.model) if layer.settings.deployments else None
    questions = shelf.library.questions(asker) if asker else None
    runs = PostgresRuns(database=database)
    return pools.llm(
        planner=heeding if layer.settings.deployments else planner,
        runs=runs,
        story=runs,
        moves=await _moves(held) if layer.settings.deployments else None,
        lessons=lessons,
        panels=panel,
        opinions=opinions,
        questions=questions,
    )


async def chores(held: Parts) -> Mapping[str, Chore]:
    """Claims of workers that died in a call are settled by those that live, minutes after the call must have ended."""
    spend = PostgresSpend(database=await held.database())

    async def settle() -> int:
        return await spend.presume_spent()

    return {"settle_lapsed_claims": settle}


async def _moves(held: Parts) -> Moves:
    return pools.moves(
        guardian=await judging.guardian(held),
        ledger=PostgresLedger(database=await held.database()),
        fast_tools=await judging.fast_host(held),
    )


def _embedding(embedder: Embedder | None) -> Embed | None:
    """For kept plans: what is near to a goal. The same model for every tenant."""
    if embedder is None:
        return None

    async def embed(_tenant: str, text: str) -> Sequence[float]:
        (vector,) = await embedder.embed([text])
        return [float(value) for value in vector]

    return embed


def _comparing(embedder: Embedder | None) -> EmbedAnswers | None:
    """For panels: which answers say the same."""
    if embedder is None:
        return None

    async def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return [[float(value) for value in vector] for vector in await embedder.embed(texts)]

    return embed
