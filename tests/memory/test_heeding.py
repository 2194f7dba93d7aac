"""A lesson on a tool reaches whoever plans to call it, however the goal is worded; and nobody else."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.errors import Unavailable
from holdfast.memory.heeding import HeedingPlanner, disregards
from schemas.agents import AgentSpec
from schemas.base import JsonObject
from schemas.memory import (
    Cues,
    MemoryContent,
    MemoryHit,
    MemoryItem,
    MemoryKind,
    MemoryStatus,
    Provenance,
    Signature,
    Trust,
)
from schemas.plans import Plan, ToolStep
from schemas.stages import Answer, AnswerRequest, NextMove, NextRequest, PlanProposal, PlanRequest, RunScope
from schemas.tools import Catalogue

AVOID: JsonObject = {"host": "web-1"}
DO: JsonObject = {"host": "web-1", "drain": True}
SCOPE = RunScope(
    tenant="default", run_id="run_00000000000000000000000001", agent="operator", environment="dev"
)


class Plain:
    """Plans one call, and notes what it was told."""

    def __init__(self, tool: str = "service.restart") -> None:
        self.call = ToolStep(id="call", tool=tool, arguments={"host": "web-7"})
        self.asked: list[PlanRequest | NextRequest] = []

    async def plan(self, request: PlanRequest) -> PlanProposal:
        self.asked.append(request)
        return PlanProposal(plan=Plan(steps=(self.call,)), by="script", spend_usd=0.25)

    async def next(self, request: NextRequest) -> NextMove:
        self.asked.append(request)
        return NextMove(step=self.call, spend_usd=0.25)

    async def answer(self, request: AnswerRequest) -> Answer:
        return Answer(text="done")


def _lesson(**data: JsonObject) -> MemoryContent:
    return MemoryContent(
        kind=MemoryKind.LESSON,
        status=MemoryStatus.ACTIVE,
        text="Drain the host before it is restarted.",
        data={"goal": "Restart the web service on web-1", **data},
        signature=Signature(goal_kind="restart servic web", tool="service.restart"),
        trust=Trust.TOOL,
    )


def _request(goal: str = "web-7 serves nothing, bring its frontend back") -> PlanRequest:
    return PlanRequest(scope=SCOPE, goal=goal, agent=AgentSpec(name="operator"), catalogue=Catalogue())


@pytest.fixture
async def memory(database: Database) -> PostgresMemory:
    memory = PostgresMemory(database=database)
    await memory.put("default", _lesson(avoid=AVOID, do=DO), Provenance(author="ann"))
    return memory


async def test_a_planner_that_did_not_know_a_lesson_on_its_tool_is_asked_once_more(
    memory: PostgresMemory,
) -> None:
    planner = Plain()
    proposal = await HeedingPlanner(planner=planner, lessons=memory).plan(_request())
    first, again = planner.asked
    assert isinstance(again, PlanRequest)
    assert (len(first.recalled.items), len(again.recalled.items)) == (0, 1)
    assert [finding.code for finding in again.findings] == ["lesson"]
    assert again.previous is not None
    assert proposal.spend_usd == 0.5
    (item,) = await memory.items("default", kind=MemoryKind.LESSON)
    assert item.used == 1


async def test_a_move_is_thought_over_as_a_plan_is(memory: PostgresMemory) -> None:
    planner = Plain()
    request = NextRequest(
        scope=SCOPE, goal="web-7 is down", agent=AgentSpec(name="operator"), catalogue=Catalogue()
    )
    move = await HeedingPlanner(planner=planner, lessons=memory).next(request)
    assert (len(planner.asked), move.spend_usd) == (2, 0.5)


async def test_a_plan_with_other_tools_or_that_heeds_the_lesson_stands(memory: PostgresMemory) -> None:
    other, heeding = Plain("calc"), Plain()
    heeding.call = heeding.call.model_copy(update={"arguments": {"host": "web-7", "drain": True}})
    for planner in (other, heeding):
        await HeedingPlanner(planner=planner, lessons=memory).plan(_request())
        assert len(planner.asked) == 1


async def test_a_lesson_that_was_recalled_already_is_not_told_again(memory: PostgresMemory) -> None:
    known = await memory.search("default", Cues(text="x", tools=("service.restart",)))
    planner = Plain()
    heeding = HeedingPlanner(planner=planner, lessons=memory)
    await heeding.plan(_request())
    told = planner.asked[1].recalled
    assert [item.cite.id for item in told.items] == [hit.item.id for hit in known]
    await heeding.plan(_request().model_copy(update={"recalled": told}))
    assert len(planner.asked) == 3


class Away:
    async def teaches(self, tenant: str, tools: Sequence[str]) -> bool:
        raise Unavailable("Postgres is away.")

    async def lessons_on(self, tenant: str, cues: Cues) -> Sequence[MemoryHit]:
        return ()

    async def note_use(self, tenant: str, run_id: str, hits: Sequence[MemoryHit]) -> None:
        """Nothing was told."""


async def test_a_memory_that_is_away_costs_the_lesson_and_not_the_plan() -> None:
    planner = Plain()
    assert (await HeedingPlanner(planner=planner, lessons=Away()).plan(_request())).plan is not None


@pytest.mark.parametrize(
    ("data", "arguments", "expected"),
    [
        ({"avoid": AVOID, "do": DO}, {"host": "web-7"}, True),
        ({"avoid": AVOID, "do": DO}, {"host": "web-7", "drain": True}, False),
        ({"avoid": {"mode": "fast"}, "do": {"mode": "safe"}}, {"mode": "fast"}, True),
        ({"avoid": {"script": "rm a"}, "do": {"script": "rm -f a"}}, {"script": "ls"}, False),
        ({"avoid": {"force": True}, "do": {}}, {"force": True}, True),
        ({"before": AVOID, "after": DO}, {"host": "web-7"}, True),
        ({"avoid": AVOID}, AVOID, True),
        ({"avoid": AVOID}, {"host": "web-7"}, False),
        ({}, {"host": "web-7"}, False),
    ],
)
def test_a_call_disregards_what_a_lesson_changes(
    data: dict[str, JsonObject],
    arguments: JsonObject,
    expected: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    now = datetime.now(UTC)
    item = MemoryItem(
        id=f"mem_{'0' * 26}",
        version=1,
        digest=f"sha256:{'0' * 64}",
        content=_lesson(**data),
        provenance=Provenance(author="ann"),
        created_at=now,
        changed_at=now,
        confirmed_at=now,
    )
    hit = MemoryHit(item=item, score=1.0, match="related", parts={"relevance": 0.1})
    assert disregards(ToolStep(id="call", tool="service.restart", arguments=arguments), hit) is expected
